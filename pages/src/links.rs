//! Each link leads somewhere.
//!
//! crates.io shows a README without the links that are relative, where the package names no repository. So a
//! published README has addresses of docs.rs, which is built from the package itself: those of the rendered
//! pages, and those of files in the package. Both are checked against what is here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::site::Site;
use crate::{html, markdown};

/// Sites of others that a page may lead to. An address of a repository is in none of them, since none is known.
const HOSTS: [&str; 7] = [
    "doc.rust-lang.org",
    "docs.rs",
    "crates.io",
    "keepachangelog.com",
    "semver.org",
    "mutants.rs",
    "rust-lang.org",
];

pub(crate) fn check(site: &Site) -> Vec<String> {
    let mut links = Links {
        site,
        ids: BTreeMap::new(),
        complaints: Vec::new(),
        checked: 0,
    };
    for page in site.handbook() {
        let text = site.read(&page);
        let main = html::main_part(&text);
        for link in html::attributes(main, "href").chain(html::attributes(main, "src")) {
            links.in_html(&page, link);
        }
    }
    for page in site.markdown() {
        let text = site.read(Path::new(page));
        for link in markdown::links(&text) {
            links.in_markdown(page, &link);
        }
        for file in markdown::shown_in_repository(&text) {
            if !site.has(
                &clean(&Path::new(page).with_file_name(&file))
                    .display()
                    .to_string(),
            ) {
                links.complain(page, format!("{file} leads nowhere: no such file"));
            }
        }
        for name in markdown::unnamed(&text) {
            links.complain(
                page,
                format!("[{name}] is no link: nothing says where it leads"),
            );
        }
    }
    assert!(links.checked > 500, "hardly any links: {}", links.checked);
    links.complaints
}

struct Links<'s> {
    site: &'s Site,
    /// What the pages of rustdoc have anchors for.
    ids: BTreeMap<PathBuf, Vec<String>>,
    complaints: Vec<String>,
    checked: usize,
}

impl Links<'_> {
    fn complain(&mut self, page: &str, what: String) {
        self.complaints.push(format!("{page}: {what}"));
    }

    fn in_html(&mut self, page: &Path, link: &str) {
        self.checked += 1;
        let name = page.display().to_string();
        if link.starts_with("http") {
            return self.elsewhere(&name, link);
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match path {
            "" => page.to_owned(),
            path => clean(&page.parent().expect("in a folder").join(path)),
        };
        self.rendered(&name, link, &target, anchor);
    }

    /// A page of rustdoc, and a place in it.
    fn rendered(&mut self, page: &str, link: &str, target: &Path, anchor: &str) {
        let target = match target.is_dir() {
            true => target.join("index.html"),
            false => target.to_owned(),
        };
        if !target.is_file() {
            return self.complain(
                page,
                format!("{link} leads nowhere: no {}", target.display()),
            );
        }
        let is_line = target.starts_with(self.site.docs.join("src")); // Lines are numbered by a script.
        if anchor.is_empty() || is_line {
            return;
        }
        let ids = self.ids.entry(target).or_insert_with_key(|target| {
            let text = self.site.read(target);
            html::attributes(&text, "id").map(str::to_owned).collect()
        });
        if !ids.iter().any(|id| id == anchor) {
            self.complain(
                page,
                format!("{link} leads nowhere: no such place in that page"),
            );
        }
    }

    fn in_markdown(&mut self, page: &str, link: &str) {
        self.checked += 1;
        if link.starts_with("http") {
            return self.elsewhere(page, link);
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        if !path.is_empty() && is_published(self.site, page) {
            let what = "is relative: crates.io does not show it as a link";
            return self.complain(page, format!("{link} {what}"));
        }
        let target = match path {
            "" => page.to_owned(),
            path => clean(&Path::new(page).parent().expect("in a folder").join(path))
                .display()
                .to_string(),
        };
        if !self.site.has(&target) {
            return self.complain(page, format!("{link} leads nowhere: no file {target}"));
        }
        if !anchor.is_empty() {
            let text = self.site.read(Path::new(&target));
            if !markdown::anchors(&text).iter().any(|one| one == anchor) {
                self.complain(page, format!("{link} leads nowhere: no such heading"));
            }
        }
    }

    /// An address: one of ours on docs.rs is looked up here, of the others the host has to be known.
    fn elsewhere(&mut self, page: &str, link: &str) {
        let (_, rest) = link.split_once("://").unwrap_or(("", link));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !HOSTS.contains(&host.trim_start_matches("www.")) {
            return self.complain(
                page,
                format!("{link} is on a site that is not listed in links.rs"),
            );
        }
        if host != "docs.rs" {
            return;
        }
        if let Some(path) = path.strip_prefix("dogpile/latest/") {
            let (path, anchor) = path.split_once('#').unwrap_or((path, ""));
            let target = self.site.docs.join(path);
            self.rendered(page, link, &target, anchor);
        } else if let Some(file) = path.strip_prefix("crate/dogpile/latest/source/")
            && !self.site.packaged.contains(file)
        {
            let what = format!("{link} leads nowhere: the package has no {file}");
            self.complain(page, what);
        }
    }
}

/// Whether crates.io shows it: the README of a package that is published.
fn is_published(site: &Site, page: &str) -> bool {
    let Some(folder) = page.strip_suffix("README.md") else {
        return false;
    };
    let manifest = format!("{folder}Cargo.toml");
    site.files.contains(&manifest) && !site.read(Path::new(&manifest)).contains("publish = false")
}

/// Without `..`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}
