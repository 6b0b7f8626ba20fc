use super::*;

#[test]
fn every_test_target_is_in_exactly_one_of_the_groups_that_need_root() {
    for name in ["datapath", "datapath_differential", "layout"] {
        assert!(is_datapath(name), "{name}");
    }
    for name in ["nat", "failover", "kubectl", "metadata"] {
        assert!(!is_datapath(name), "{name}");
    }
}

#[test]
fn other_kernels_get_the_fixtures_only() {
    assert!(runs_on_other_kernels("datapath_differential"));
    assert!(!runs_on_other_kernels("layout"));
}
