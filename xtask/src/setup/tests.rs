use super::*;

#[test]
fn a_bpffs_is_recognised_by_place_and_type() {
    let mounts = "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,nosuid 0 0\n";
    assert!(has_bpffs(mounts, "/sys/fs/bpf"));
    assert!(!has_bpffs(mounts, "/run/bpf"));
    assert!(!has_bpffs("tmpfs /sys/fs/bpf tmpfs rw 0 0\n", "/sys/fs/bpf"));
    assert!(!has_bpffs("bpf /sys/fs/bpf/inner bpf rw 0 0\n", "/sys/fs/bpf"));
}
