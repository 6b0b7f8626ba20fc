//! The text of a configuration.

use std::path::Path;

use lb_agent::config;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match config::parse(Path::new("lb.toml"), text, "lb-01") {
        Ok(config) => assert!(!config.node.interfaces.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const NODE: &str = "[node]\nname = \"lb-01\"\ninterfaces = [\"ens3\"]\nxdp_mode = \"auto\"\n";
    const SERVICE: &str = "[[service]]\nname = \"kube-apiserver\"\nvip = \"10.47.160.50\"\n\
        port = 6443\nprotocol = \"tcp\"\naffinity = \"connection\"\non_backend_down = \"reset\"\n\
        when_no_backend = \"reject\"\n";
    const HTTPS: &str = "[service.check]\ntype = \"https\"\npath = \"/readyz\"\ninterval = \"2s\"\n\
        fast_interval = \"500ms\"\nrise = 2\nfall = 3\ninsecure = true\n";
    const EXEC: &str = "[service.check]\ntype = \"exec\"\ncommand = [\"/bin/true\"]\n\
        timeout = \"1s\"\n";
    const BACKEND: &str = "[[service.backend]]\nname = \"cp-01\"\naddress = \"10.47.160.11\"\n\
        port = 6443\nweight = 1\n";
    const VRRP: &str = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"ens3\"\nvirtual_router_id = 51\n\
        version = 2\npriority = 101\nadvert_interval = \"1s\"\naddresses = [\"10.47.160.50/24\"]\n\
        preempt = true\nunicast_source = \"10.47.160.5\"\nunicast_peers = [\"10.47.160.6\"]\n\
        authentication = { type = \"pass\", secret_file = \"/etc/lb/vrrp\" }\n\
        [[vrrp.track]]\nscript = \"/etc/lb/check.sh\"\ninterval = \"3s\"\nweight = -2\n";
    [
        [NODE, SERVICE, HTTPS, BACKEND].concat(),
        [NODE, SERVICE, EXEC, BACKEND].concat(),
        [NODE, SERVICE, BACKEND, VRRP].concat(),
        [NODE, "[[service]\nname = 'x'\n"].concat(),
    ]
    .map(String::into_bytes)
    .into()
}
