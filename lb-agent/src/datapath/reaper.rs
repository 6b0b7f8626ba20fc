//! Ends flows by running `lb_reap` in the kernel; see [`lb_common::reap`].

use std::{fs, io, time::Duration};

use aya::{
    Ebpf,
    programs::{ProgramError, TestRun, TestRunOptions, Xdp},
};
use aya_obj::programs::XdpAttachType;
use lb_common::{
    abi::program,
    flow::FlowKey,
    reap::{BATCH, ReapRequest},
};

use super::{error::Error, pins::Pins};

/// The loaded program.
pub struct Reaper {
    program: Xdp,
}

/// The kernel's clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Low 32 bits of the count of timer ticks.
    pub jiffies: u32,
    /// `CLOCK_MONOTONIC`.
    pub monotonic: Duration,
}

impl Reaper {
    /// Pins the loaded program, in place of an older one, so that it can be used without an
    /// agent, and takes a handle to it.
    pub fn pin(object: &mut Ebpf, pins: &Pins) -> Result<Self, Error> {
        let name = program::REAP;
        let found = object.program_mut(name).ok_or(Error::NoProgram { name })?;
        let path = pins.map(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Error::PinDir { path, what: "a program cannot be replaced", source });
            }
        }
        found.pin(&path).map_err(|source| Error::PinProgram { name, source })?;
        Self::open(pins)
    }

    /// Opens the pinned program.
    pub fn open(pins: &Pins) -> Result<Self, Error> {
        let name = program::REAP;
        let program = Xdp::from_pin(pins.map(name), XdpAttachType::Interface)
            .map_err(|e| Error::from_verify(name, e))?;
        Ok(Self { program })
    }

    /// Removes these flows, given by their forward keys, unless a packet was seen after
    /// `not_after` in either direction. Returns how many were removed.
    pub fn remove(&mut self, keys: &[FlowKey], not_after: u32) -> Result<usize, Error> {
        let mut removed = 0;
        for chunk in keys.chunks(BATCH) {
            removed += self.call(chunk, not_after)?.removed as usize;
        }
        Ok(removed)
    }

    /// Reads the clocks by which the program judges ages.
    pub fn clock(&mut self) -> Result<Clock, Error> {
        let answer = self.call(&[], 0)?;
        Ok(Clock { jiffies: answer.jiffies, monotonic: Duration::from_nanos(answer.ktime_ns) })
    }

    fn call(&mut self, keys: &[FlowKey], not_after: u32) -> Result<ReapRequest, Error> {
        let mut request = ReapRequest {
            count: keys.len() as u32,
            jiffies: 0,
            not_after,
            removed: 0,
            ktime_ns: 0,
            keys: [FlowKey::default(); BATCH],
        };
        request.keys[..keys.len()].copy_from_slice(keys);
        let mut answer = request;
        let options = TestRunOptions {
            data_in: Some(bytes(&request)),
            data_out: Some(bytes_mut(&mut answer)),
            ..TestRunOptions::new()
        };
        self.program
            .test_run(options)
            .map_err(|e: ProgramError| Error::from_verify(program::REAP, e))?;
        Ok(answer)
    }
}

fn bytes(request: &ReapRequest) -> &[u8] {
    // SAFETY: `ReapRequest` has no padding (proved in lb-common), so every byte is initialised.
    unsafe { std::slice::from_raw_parts((&raw const *request).cast(), size_of::<ReapRequest>()) }
}

fn bytes_mut(request: &mut ReapRequest) -> &mut [u8] {
    // SAFETY: as above, and every bit pattern is a valid `ReapRequest`.
    unsafe { std::slice::from_raw_parts_mut((&raw mut *request).cast(), size_of::<ReapRequest>()) }
}
