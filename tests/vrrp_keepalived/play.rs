//! What happens to the two routers, and who must win.

use anyhow::{Context, Result};
use lb_tests::{node::Kind, wait::SOON};

use crate::{
    case::Case,
    scene::{HIGH, LOW, Scene},
};

/// One thing after the other in one lab.
pub(crate) fn play(case: &Case, kinds: [Kind; 2]) -> Result<()> {
    let mut scene = Scene::new(case, kinds)?;
    acts(&mut scene).and_then(|()| scene.no_errors()).with_context(|| scene.logs())
}

fn acts(scene: &mut Scene) -> Result<()> {
    election(scene).context("election")?;
    crash(scene).context("crash of the higher one, and its return")?;
    stop(scene).context("stop of the higher one, and its return")?;
    script(scene).context("a script that fails on the higher one, and recovers")?;
    lower(scene).context("crash and return of the lower one")
}

fn election(scene: &mut Scene) -> Result<()> {
    scene.start()?;
    scene.reigns(HIGH)?;
    scene.wait_priority(scene.nodes[HIGH].instance().priority, SOON)
}

fn crash(scene: &mut Scene) -> Result<()> {
    scene.nodes[HIGH].crash()?;
    scene.reigns(LOW)?;
    scene.wait_priority(scene.nodes[LOW].instance().priority, SOON)?;
    scene.nodes[HIGH].start()?;
    scene.reigns(HIGH)
}

fn stop(scene: &mut Scene) -> Result<()> {
    scene.nodes[HIGH].stop()?;
    scene.reigns(LOW)?;
    scene.nodes[HIGH].start()?;
    scene.reigns(HIGH)
}

fn script(scene: &mut Scene) -> Result<()> {
    scene.switch.fail(true)?;
    scene.reigns(LOW)?;
    scene.goes_on(LOW)?;
    scene.switch.fail(false)?;
    scene.reigns(HIGH)
}

fn lower(scene: &mut Scene) -> Result<()> {
    scene.nodes[LOW].crash()?;
    scene.goes_on(HIGH)?;
    scene.nodes[LOW].start()?;
    scene.goes_on(HIGH)
}
