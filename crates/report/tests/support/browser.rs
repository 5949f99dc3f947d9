//! A headless browser for page tests; other crates' tests include this file by its path.

#![allow(clippy::print_stdout, reason = "a skip is told")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A Chromium that was found.
pub(crate) struct Browser {
    program: PathBuf,
}

/// What a page looked like from inside.
pub(crate) struct Seen {
    /// The document after loading.
    pub(crate) dom: String,
    /// Lines that the page wrote to its console.
    pub(crate) console: Vec<String>,
}

impl Browser {
    /// The browser of `THALWEG_BROWSER`, or one on the search path. Without one the test is skipped with the reason, unless
    /// `THALWEG_REQUIRE_BROWSER=1`.
    pub(crate) fn find() -> Option<Self> {
        let given = std::env::var_os("THALWEG_BROWSER").map(PathBuf::from);
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let on_path =
            || std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|p| p.is_file());
        let found = given.or_else(on_path);
        if found.is_none() {
            let required = std::env::var("THALWEG_REQUIRE_BROWSER").is_ok_and(|value| value == "1");
            assert!(!required, "THALWEG_REQUIRE_BROWSER=1, but there is no Chromium on the search path");
            println!("skipped: no Chromium; install one (Debian: apt-get install chromium) or name it in THALWEG_BROWSER");
        }
        found.map(|program| Self { program })
    }

    /// Loads a page in a window of that size; `flags` are the browser's own.
    pub(crate) fn load(&self, page: &Path, flags: &[&str]) -> Seen {
        let profile = tempfile::tempdir().unwrap();
        let output = profile.path().join("out");
        let errors = profile.path().join("err");
        let mut child = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .args(flags)
            .arg("--dump-dom")
            .arg(format!("file://{}", page.canonicalize().unwrap().display()))
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output).unwrap())
            .stderr(std::fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("the browser did not end within a minute");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let console = std::fs::read_to_string(&errors).unwrap_or_default();
        Seen {
            dom: std::fs::read_to_string(&output).unwrap(),
            console: console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
        }
    }
}

/// Loads a copy of the page that measures itself in a frame of that width, since a window has a least width of its own; returns
/// what it measured, as `name=value` pairs.
pub(crate) fn measured(browser: &Browser, html: &str, width: u32, flags: &[&str]) -> String {
    const PROBE: &str = "<script>addEventListener('load',()=>{const d=document.documentElement,svgs=[...document.querySelectorAll('svg')];\
        parent.postMessage(`width=${innerWidth} overflow=${d.scrollWidth>innerWidth} background=${getComputedStyle(d).backgroundColor} `+\
        `svgs=${svgs.length} drawn=${svgs.filter(s=>s.getBoundingClientRect().height>50&&s.querySelector('path[d],circle,rect')).length}`,'*')})\
        </script></body>";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inner.html"), html.replace("</body>", PROBE)).unwrap();
    let outer = format!(
        "<!DOCTYPE html><html><body><script>addEventListener('message',e=>document.documentElement.setAttribute('data-seen',e.data))\
         </script><iframe src=\"inner.html\" style=\"width:{width}px;height:800px;border:0\"></iframe></body></html>"
    );
    let path = folder.path().join("outer.html");
    std::fs::write(&path, outer).unwrap();
    let dom = browser.load(&path, &[&["--virtual-time-budget=2000"], flags].concat()).dom;
    let (_, seen) = dom.split_once("data-seen=\"").unwrap_or_else(|| panic!("the page did not measure itself: {dom}"));
    seen.split('"').next().unwrap_or_default().to_owned()
}
