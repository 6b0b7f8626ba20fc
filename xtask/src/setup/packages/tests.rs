use super::*;

#[test]
fn only_absent_commands_bring_their_package_and_each_once() {
    assert!(missing(|_| true).is_empty());
    assert_eq!(missing(|command| command != "kubectl"), ["kubernetes-client"]);
    assert_eq!(missing(|command| !command.starts_with("etcd")), ["etcd-client", "etcd-server"]);
}
