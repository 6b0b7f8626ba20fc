//! Who may know whom. The rule first, its reason beside it.

/// A library that only some files may name.
#[derive(Debug)]
pub(super) struct Home {
    /// The crate.
    pub(super) library: &'static str,
    /// Sources to which the rule applies.
    pub(super) within: &'static str,
    /// Where the library may be named; `dir/**` = everything below.
    pub(super) files: &'static [&'static str],
    /// For whoever breaks it.
    pub(super) why: &'static str,
}

/// Files with rules of their own. A file belongs to the first room that names it.
#[derive(Debug)]
pub(super) struct Room {
    /// `dir/**` = everything below.
    pub(super) files: &'static [&'static str],
    /// Lists of paths that the files must not name.
    pub(super) never: &'static [&'static [&'static str]],
    /// Paths that they may name all the same; of two rules the longer path decides.
    pub(super) except: &'static [&'static str],
    /// For whoever breaks it.
    pub(super) why: &'static str,
}

const AGENT: &str = "lb-agent/src/";

/// One library, one room.
pub(super) const HOMES: &[Home] = &[
    Home {
        library: "aya",
        within: AGENT,
        // Its pure half, `maglev` and `plan`, is refused aya as a room.
        files: &["lb-agent/src/datapath/**"],
        why: "maps and programs are touched in `datapath` alone, so that a change of aya is one room's",
    },
    Home {
        library: "aya",
        within: "lb-common/src/",
        files: &["lb-common/src/layout.rs", "lb-common/src/net.rs"],
        why: "`aya::Pod` is granted where the layout is proven",
    },
    Home {
        library: "rtnetlink",
        within: AGENT,
        files: &["lb-agent/src/netlink.rs", "lb-agent/src/netlink/**"],
        why: "links, routes and neighbours are asked for in `netlink` alone",
    },
    Home {
        library: "clap",
        within: AGENT,
        files: &["lb-agent/src/cli.rs", "lb-agent/src/main.rs"],
        why: "the command line is declared in `cli` and read in `main`",
    },
    Home {
        library: "toml",
        within: AGENT,
        files: &[
            "lb-agent/src/config/document.rs",
            "lb-agent/src/config/file.rs",
            "lb-agent/src/config/text.rs",
        ],
        why: "the file format ends where the text is read; everybody else sees a `Config`",
    },
    Home {
        library: "serde",
        within: AGENT,
        files: FORMATS,
        why: "JSON is for programs outside: it is written and read at the border to them",
    },
    Home {
        library: "serde_json",
        within: AGENT,
        files: FORMATS,
        why: "JSON is for programs outside: it is written and read at the border to them",
    },
    Home {
        library: "lettre",
        within: AGENT,
        files: &["lb-agent/src/notify/mail.rs"],
        why: "mail is one way of telling; everybody else sees a `Notice`",
    },
    Home {
        library: "anyhow",
        within: AGENT,
        files: &[
            "lb-agent/src/agent.rs",
            "lb-agent/src/agent/failover.rs",
            "lb-agent/src/agent/shell.rs",
            "lb-agent/src/agent/start.rs",
            "lb-agent/src/cli.rs",
            "lb-agent/src/commands.rs",
            "lb-agent/src/main.rs",
        ],
        why: "a room says in a typed error what failed; only the shell above them may not care",
    },
];

const FORMATS: &[&str] = &[
    "lb-agent/src/commands.rs",
    "lb-agent/src/control.rs",
    "lb-agent/src/notify/webhook.rs",
    "lb-agent/src/view.rs",
    "lb-agent/src/view/**",
];

/// What no pure room may name: it takes `now` and values, and returns values.
const IMPURE: &[&str] = &[
    "crate",
    "aya",
    "aya_log",
    "hyper",
    "hyper_util",
    "libc",
    "nix",
    "rtnetlink",
    "rustls",
    "sd_notify",
    "tokio",
    "tokio_rustls",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "Instant::now",
    "SystemTime::now",
];

const PURE: &str =
    "a pure room knows neither IO nor clocks nor other rooms, and is tested without them";

/// From the most special to the most general.
pub(super) const ROOMS: &[Room] = &[
    Room {
        files: &[
            "lb-agent/src/agent/event.rs",
            "lb-agent/src/agent/state.rs",
            "lb-agent/src/agent/state/**",
        ],
        never: &[IMPURE, &["crate::cli", "crate::config::file", "crate::datapath"]],
        // Events carry the rooms' own types; of the data plane only its pure half is known.
        except: &["crate", "crate::datapath::maglev", "crate::datapath::plan"],
        why: "the state composes the pure rooms; it says what is to be done and does nothing",
    },
    Room {
        files: &["lb-agent/src/config/file.rs", "lb-agent/src/config/machine.rs"],
        never: &[&["crate", "aya", "rtnetlink", "tokio"]],
        except: &["crate::config"],
        why: "reading a configuration needs files and the machine's names, but no other room",
    },
    Room {
        files: &["lb-agent/src/config.rs", "lb-agent/src/config/**"],
        never: &[IMPURE, &["crate::config::file", "crate::config::machine"]],
        // Causes of errors; the calls that fail are in `file` and `machine`. The protocol's version
        // is a word of `vrrp`, and means the same here.
        except: &["crate::config", "std::io", "nix::Error", "crate::vrrp::Version"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/health/tracker.rs", "lb-agent/src/health/tracker/**"],
        never: &[IMPURE, &["crate::health::probe"]],
        except: &["crate::config", "crate::health"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/datapath/maglev.rs", "lb-agent/src/datapath/maglev/**"],
        never: &[IMPURE],
        except: &["crate::datapath::maglev"],
        why: PURE,
    },
    Room {
        files: &[
            "lb-agent/src/vrrp/machine.rs",
            "lb-agent/src/vrrp/machine/**",
            "lb-agent/src/vrrp/time.rs",
        ],
        never: &[IMPURE, &["crate::vrrp::packet", "crate::vrrp::socket"]],
        // `vrrp` itself holds the words that codec and machine share.
        except: &["crate::vrrp", "crate::vrrp::machine", "crate::vrrp::time"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/datapath/plan.rs", "lb-agent/src/datapath/plan/**"],
        never: &[IMPURE],
        except: &["crate::config", "crate::datapath::maglev", "crate::datapath::plan"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/vrrp/packet.rs", "lb-agent/src/vrrp/packet/**"],
        never: &[IMPURE],
        except: &["crate::config::vrrp", "crate::vrrp"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/vrrp/socket.rs", "lb-agent/src/vrrp/socket/**"],
        never: &[&["crate", "aya", "rtnetlink", "tokio"]],
        except: &["crate::netlink::Family", "crate::vrrp::packet", "crate::vrrp::socket"],
        why: "sockets carry packets; what is in them is the codec's, when to wait is the thread's",
    },
    Room {
        files: &[
            "lb-agent/src/vrrp/machine.rs",
            "lb-agent/src/vrrp/machine/**",
            "lb-agent/src/vrrp/thread/limiter.rs",
            "lb-agent/src/vrrp/time.rs",
        ],
        never: &[IMPURE],
        except: &["crate::vrrp"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/vrrp/thread.rs", "lb-agent/src/vrrp/thread/**"],
        never: &[&["crate", "aya", "rtnetlink", "tracing"]],
        except: &[
            "crate::config::vrrp",
            "crate::datapath::error",
            "crate::datapath::leases",
            "crate::netlink",
            "crate::vips",
            "crate::vrrp",
        ],
        why: "no log and no netlink on the path of an advertisement: others are told, and do it",
    },
    Room {
        files: &["lb-agent/src/frame.rs", "lb-agent/src/frame/**"],
        never: &[IMPURE],
        except: &["crate::frame"],
        why: PURE,
    },
    Room {
        files: &[
            "lb-agent/src/vips/limit.rs",
            "lb-agent/src/vips/limit/**",
            "lb-agent/src/vips/rivals.rs",
            "lb-agent/src/vips/rivals/**",
            "lb-agent/src/vips/schedule.rs",
            "lb-agent/src/vips/schedule/**",
        ],
        never: &[IMPURE],
        except: &["crate::frame", "crate::vips::limit", "crate::vrrp::time"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/vips/holding.rs", "lb-agent/src/vips/holding/**"],
        never: &[IMPURE],
        // What a look has found, and what netlink is to be asked for, are values of that room.
        except: &["crate::netlink", "crate::vips", "crate::vrrp::time"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/vips.rs", "lb-agent/src/vips/**"],
        never: &[&["crate", "aya", "rtnetlink"]],
        except: &[
            "crate::frame",
            "crate::inject",
            "crate::netlink",
            "crate::vips",
            "crate::vrrp::clock",
            "crate::vrrp::time",
        ],
        why: "the VIPs' thread is told whom to hold; it does not know who decides",
    },
    Room {
        files: &["lb-agent/src/vrrp/track.rs", "lb-agent/src/vrrp/track/**"],
        never: &[IMPURE],
        except: &["crate::config", "crate::vrrp::track"],
        why: PURE,
    },
    Room {
        files: &["lb-agent/src/health.rs", "lb-agent/src/health/**"],
        never: &[&["crate", "aya", "rtnetlink"]],
        except: &["crate::config", "crate::health", "crate::process"],
        why: "a probe reports in its own words; the loop translates",
    },
    Room {
        files: &["lb-agent/src/notify.rs", "lb-agent/src/notify/**"],
        never: &[&["crate", "aya", "rtnetlink"]],
        except: &[
            "crate::config",
            "crate::notify",
            "crate::process",
            "crate::vrrp::machine::State",
        ],
        why: "it passes on what it is told, and knows of a router no more than its state",
    },
    Room {
        files: &["lb-agent/src/process.rs", "lb-agent/src/process/**"],
        never: &[&["crate", "aya", "rtnetlink"]],
        except: &["crate::process"],
        why: "a command is run for whoever asks, and nobody is asked in return",
    },
    Room {
        files: &["lb-agent/src/vrrp/script.rs", "lb-agent/src/vrrp/script/**"],
        never: &[&["crate", "aya", "rtnetlink"]],
        except: &["crate::config", "crate::process", "crate::vrrp"],
        why: "a script's result is reported in the room's own words; the loop translates",
    },
    Room {
        files: &["lb-agent/src/netlink.rs", "lb-agent/src/netlink/**"],
        never: &[&["crate", "aya"]],
        except: &["crate::config", "crate::netlink", "crate::frame"],
        why: "the kernel's facts are reported in the room's own words; the loop translates",
    },
    Room {
        files: &["lb-agent/src/datapath.rs", "lb-agent/src/datapath/**"],
        never: &[&["crate", "rtnetlink"]],
        // The keeper sends the frames that provoke a dead backend's clients into a reset.
        // Leases are written in the words of who grants them, as far as time goes.
        except: &[
            "crate::config",
            "crate::datapath",
            "crate::frame",
            "crate::inject",
            "crate::vrrp::time",
        ],
        why: "the data plane is told what to write; it asks nobody",
    },
    Room {
        files: &["lb-agent/src/agent.rs", "lb-agent/src/agent/**"],
        never: &[&["crate::cli"]],
        except: &[],
        why: "the loop does not know who started it",
    },
    Room {
        files: &["lb-agent/src/**"],
        never: &[&["lb_ebpf", "lb_tests", "xtask"]],
        except: &[],
        why: "the agent shares `lb-common` with the program, and nothing else",
    },
    Room {
        files: &["lb-common/src/**"],
        never: &[&["std", "lb_agent", "lb_ebpf", "lb_tests", "xtask"]],
        except: &[],
        why: "both sides of the kernel border build on it, one of them without `std`",
    },
    Room {
        files: &[
            "lb-ebpf/src/claim.rs",
            "lb-ebpf/src/csum.rs",
            "lb-ebpf/src/cursor.rs",
            "lb-ebpf/src/header.rs",
            "lb-ebpf/src/icmp.rs",
            "lb-ebpf/src/lib.rs",
            "lb-ebpf/src/parse.rs",
            "lb-ebpf/src/reset.rs",
            "lb-ebpf/src/rewrite.rs",
            "lb-ebpf/src/select.rs",
        ],
        never: &[&["std", "aya", "aya_ebpf", "aya_log_ebpf", "lb_agent", "lb_tests", "xtask"]],
        except: &[],
        why: "the library is free of maps and contexts, so that the host can test it",
    },
    Room {
        files: &["lb-ebpf/src/**"],
        never: &[&["std", "aya", "lb_agent", "lb_tests", "xtask"]],
        except: &[],
        why: "a program in the kernel knows its library, `lb-common` and aya-ebpf",
    },
    Room {
        files: &["tests/**"],
        never: &[&["xtask"]],
        except: &[],
        why: "tests run without the tool that starts them",
    },
    Room {
        files: &["xtask/src/**"],
        never: &[&["lb_agent", "lb_common", "lb_ebpf", "lb_tests"]],
        except: &[],
        why: "xtask must build on a machine where the rest does not build yet",
    },
];
