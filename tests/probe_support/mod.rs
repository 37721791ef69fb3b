//! Laboratories of network namespaces: hosts with firewalls, listeners and bad habits around one place from which they are asked. Everything
//! is made for the test and goes with it; packets never leave it.

pub mod host;
pub mod results;

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use host::{HOST, Host, READY};

/// How the test program comes to [`host::main`].
const WITHIN: [&str; 4] = ["the_inside_of_a_host", "--exact", "--ignored", "--nocapture"];

/// Whether there can be no laboratory here; says so. For root under CI that is a failure.
pub fn skipped(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|p| !on_path(p)).collect();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let test = format!("fwp{}-test{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let why = if !missing.is_empty() {
        format!("{} not installed", missing.join(", "))
    } else if !ip(&["netns", "add", &test]) {
        "no named network namespace can be made (needs root)".to_owned()
    } else {
        ip(&["netns", "del", &test]);
        return false;
    };
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
    assert!(!root || std::env::var_os("CI").is_none(), "skipped under CI: {why}");
    eprintln!("skipped: {why}");
    true
}

pub fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/sbin".into()]).any(|f| f.join(program).is_file())
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Namespaces and what runs in them.
pub struct Lab {
    prefix: String,
    spaces: Vec<String>,
    children: Vec<Child>,
    pub folder: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for space in &self.spaces {
            ip(&["netns", "del", space]);
        }
    }
}

impl Lab {
    pub fn new() -> Lab {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("fwp{}-{}-", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Lab { prefix, spaces: Vec::new(), children: Vec::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn space(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A new namespace.
    pub fn add(&mut self, name: &str) {
        let space = self.space(name);
        assert!(ip(&["netns", "add", &space]), "{space}");
        self.spaces.push(space);
        self.ip(name, "link set lo up");
        self.set(name, "ipv6/conf/default/accept_dad", "0");
        self.set(name, "ipv6/conf/all/accept_dad", "0");
    }

    /// `ip` in a namespace.
    pub fn ip(&self, name: &str, words: &str) {
        let space = self.space(name);
        let all: Vec<&str> = ["-n", &space].into_iter().chain(words.split(' ')).collect();
        let output = Command::new("ip").args(&all).output().unwrap();
        assert!(output.status.success(), "ip {}: {}", all.join(" "), String::from_utf8_lossy(&output.stderr));
    }

    /// A wire between two namespaces.
    pub fn wire(&self, (a, at_a): (&str, &str), (b, at_b): (&str, &str)) {
        self.ip(a, &format!("link add {at_a} type veth peer name {at_b} netns {}", self.space(b)));
        self.ip(a, &format!("link set {at_a} up"));
        self.ip(b, &format!("link set {at_b} up"));
    }

    pub fn set(&self, name: &str, key: &str, value: &str) {
        let _ = self.run(name, &["sh", "-c", &format!("echo {value} > /proc/sys/net/{key}")]);
    }

    /// A rule set for `nft`.
    pub fn nft(&self, name: &str, rules: &str) {
        let file = self.folder.path().join(format!("{name}.nft"));
        std::fs::write(&file, rules).unwrap();
        let output = self.run(name, &["nft", "-f", &file.to_string_lossy()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(name)]).args(args).current_dir(self.folder.path()).env_remove("CI");
        command
    }

    pub fn run(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap()
    }

    pub fn start(&self, name: &str, args: &[&str]) -> Child {
        self.command(name, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// `fwproof probe` in a namespace.
    pub fn probe(&self, name: &str, args: &[&str]) -> (i32, String, String) {
        let all: Vec<&str> = [env!("CARGO_BIN_EXE_fwproof"), "probe", "--i-am-authorised"].iter().chain(args).copied().collect();
        let output = self.run(name, &all);
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Services of a host, until the laboratory goes.
    pub fn host(&mut self, name: &str, host: &Host) {
        let ready = self.folder.path().join(format!("{name}.ready"));
        let program = std::env::current_exe().unwrap();
        let mut command = self.command(name, &[&program.to_string_lossy()]);
        command.args(WITHIN).env(HOST, serde_json::to_string(host).unwrap()).env(READY, &ready);
        self.children.push(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        while !ready.exists() {
            assert!(Instant::now() < until, "{name} does not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
