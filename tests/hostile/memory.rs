//! What a core dump would have in it: nothing of a key that was replaced, and nothing of what a pod held or a request said.
//!
//! May be there: the key of the certificate that is served, and of the one before it for as long as that can come back; the
//! keys of the authority that signs and of its successor; the token for the API server. Leaves' keys are made by the process
//! and told to nobody, so what is looked for beside known keys is any key in the form in which keys are written.
//!
//! All memory that the process can write to is looked at, that of threads' stacks included, without a tool that others may
//! not have.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    api_server::Objects,
    attack::{pod, post, review},
    server::Server,
};

/// Long, because others may be using the machine.
const DEADLINE: Duration = Duration::from_mins(1);

const IN_A_POD: &str = "planted-in-a-variable-of-a-pod";
const IN_A_HEADER: &str = "planted-in-a-header-of-a-request";

/// A certificate in files is replaced: the key of the one before it is gone.
pub(crate) fn no_key_of_a_file_that_was_replaced(_: &str) {
    let server = Server::start(":");
    let mut gone = Vec::new();
    for _ in 0..2 {
        gone.push(server.file("tls.key"));
        let reloads = || server.metric(r#"javelin_certificate_reloads_total{result="success"}"#);
        let before = reloads();
        ask(&server);
        server.renew();
        until("it is reloaded", || reloads() > before);
    }
    ask(&server);
    let memory = Memory::of(&server);
    let current = Planted::key("the key that is served", &server.file("tls.key"));
    assert!(
        !memory.finds(&current).is_empty(),
        "no key at all is found, so that it says nothing that others are not"
    );
    let mut planted = others();
    planted.extend(
        gone.iter()
            .flat_map(|key| Planted::key("a key that was served", key)),
    );
    memory.assert_has_none(&planted, &scalars(&server.file("tls.key")));
}

/// Authorities are replaced: of those before, and of the leaves of all, no key is left.
pub(crate) fn no_key_of_an_authority_that_was_replaced(_: &str) {
    let objects = Arc::new(Mutex::new(Objects::new()));
    let server = Server::with_authority(&objects);
    let key = |name: &str| {
        let value = objects.lock().unwrap().secret["data"][name].clone();
        let value = value.as_str().map(|text| STANDARD.decode(text).unwrap());
        value.map(|value| String::from_utf8(value).unwrap())
    };
    let is_served = || {
        let secret = objects.lock().unwrap().secret.clone();
        let state = &secret["metadata"]["annotations"]["javelin.dev/certificates"];
        // "authority 0123456789abcdef signs until ..."
        let authority = state.as_str().unwrap().split(' ').nth(1).unwrap();
        server.metric(&format!(
            r#"javelin_leaf_issuer{{authority="{authority}"}}"#
        )) == 1
    };
    for _ in 0..2 {
        ask(&server);
        let before = key("ca.key");
        objects.lock().unwrap().ask_for_rotation();
        until("another authority signs", || key("ca.key") != before);
        until("a leaf of it is served", is_served);
    }
    ask(&server);
    let memory = Memory::of(&server);
    let signing = key("ca.key").unwrap();
    assert!(
        !memory
            .finds(&Planted::key("the authority", &signing))
            .is_empty(),
        "no key at all is found, so that it says nothing that others are not"
    );
    let mut planted = others();
    let objects = objects.lock().unwrap();
    let gone = objects.keys.iter().filter(|key| **key != signing);
    planted.extend(gone.flat_map(|key| Planted::key("an authority that was replaced", key)));
    assert!(planted.len() > 8, "two have gone");
    memory.assert_has_none(&planted, &scalars(&signing));
}

/// What nobody has a reason to keep once it is answered.
fn ask(server: &Server) {
    let annotation = format!(r#""note":"{IN_A_POD}""#);
    let body = review(&pod(1, &annotation)).replace(
        r#""image":"shop""#,
        &format!(r#""image":"shop","env":[{{"name":"PASSWORD","value":"{IN_A_POD}"}}]"#),
    );
    let request = String::from_utf8(post("/mutate/pod", body.as_bytes())).unwrap();
    let header = format!("authorization: Bearer {IN_A_HEADER}\r\ncontent-type:");
    let request = request.replacen("content-type:", &header, 1);
    let answer = server.client().ask(request.as_bytes()).unwrap();
    assert!(answer.contains(r#""patch":"#), "{answer}");
    // An open connection has a buffer with what came last.
    until("the connection is closed", || {
        server.metric("javelin_open_connections") == 0
    });
}

fn others() -> Vec<Planted> {
    [IN_A_POD, IN_A_HEADER]
        .map(|text| Planted {
            what: text.to_owned(),
            bytes: text.as_bytes().to_vec(),
        })
        .into()
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came that {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What is looked for.
struct Planted {
    what: String,
    bytes: Vec<u8>,
}

impl Planted {
    /// A P-256 key in PEM: the number, as it is written and as a processor holds it, and the line that has most of it, also
    /// as a Secret has it in an answer of the API server.
    fn key(what: &str, pem: &str) -> Vec<Self> {
        let line = pem.lines().nth(2).unwrap();
        let start = pem.find(line).unwrap().next_multiple_of(3);
        let written = STANDARD.encode(&pem[start..start + 45]);
        let scalar = scalars(pem).into_iter().next().unwrap();
        let reversed = scalar.iter().rev().copied().collect();
        [
            ("as a number", scalar),
            ("as a number, the other way round", reversed),
            ("in PEM", line.as_bytes().to_vec()),
            ("in a Secret", written.into_bytes()),
        ]
        .map(|(form, bytes)| Self {
            what: format!("{what}, {form}"),
            bytes,
        })
        .into()
    }
}

/// The number of each P-256 key in PKCS#8 in `text`, if that is PEM.
fn scalars(text: &str) -> BTreeSet<Vec<u8>> {
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    written_keys(&STANDARD.decode(body).unwrap())
}

/// The number of each P-256 key that is written in PKCS#8 somewhere in there.
fn written_keys(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    // The curve's name, and what leads to the number.
    const BEFORE: [u8; 19] = [
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02,
        0x01, 0x01, 0x04, 0x20,
    ];
    let before = [Planted {
        what: String::new(),
        bytes: BEFORE.to_vec(),
    }];
    places(bytes, &before)
        .into_iter()
        .filter_map(|(at, _)| {
            let scalar = bytes.get(at + BEFORE.len()..)?.get(..32)?;
            Some(scalar.to_vec())
        })
        .collect()
}

/// Where which of these are.
fn places<'a>(bytes: &[u8], planted: &'a [Planted]) -> Vec<(usize, &'a Planted)> {
    // Most places are none by their first byte already.
    let mut first = [false; 256];
    for each in planted {
        first[usize::from(each.bytes[0])] = true;
    }
    let mut found = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        if first[usize::from(*byte)] {
            let here = &bytes[at..];
            let matching = planted.iter().filter(|each| here.starts_with(&each.bytes));
            found.extend(matching.map(|each| (at, each)));
        }
    }
    found
}

/// Whatever a process can write to, and is not zero, at one moment.
struct Memory(Vec<u8>);

impl Memory {
    fn of(server: &Server) -> Self {
        signal(server, "-STOP");
        let process = format!("/proc/{}", server.id());
        let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
        let file = File::open(format!("{process}/mem")).unwrap();
        let mut memory = Vec::new();
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if rest.starts_with("rw") {
                let (from, to) = range.split_once('-').unwrap();
                let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
                read(&file, from, to, &mut memory);
            }
        }
        signal(server, "-CONT");
        Self(memory)
    }

    fn finds<'a>(&self, planted: &'a [Planted]) -> BTreeSet<&'a str> {
        let places = places(&self.0, planted).into_iter();
        places.map(|(_, planted)| planted.what.as_str()).collect()
    }

    /// None of these, nor a written key that is none of `known`.
    #[track_caller]
    fn assert_has_none(&self, planted: &[Planted], known: &BTreeSet<Vec<u8>>) {
        let mut found: Vec<_> = self.finds(planted).into_iter().map(str::to_owned).collect();
        let unknown = written_keys(&self.0).difference(known).count();
        if unknown > 0 {
            found.push(format!("{unknown} further keys in PKCS#8"));
        }
        assert!(found.is_empty(), "in memory: {}", found.join("; "));
    }
}

/// Whole pages that are not zero, and can be read.
fn read(memory: &File, from: u64, to: u64, into: &mut Vec<u8>) {
    const PAGE: usize = 4096;
    let mut chunk = vec![0; 256 * PAGE];
    let mut at = from;
    while at < to {
        let wanted = usize::try_from(to - at).unwrap().min(chunk.len());
        let Ok(read @ 1..) = memory.read_at(&mut chunk[..wanted], at) else {
            return;
        };
        let pages = chunk[..read].chunks(PAGE);
        let pages = pages.filter(|page| *page != &[0; PAGE][..page.len()]);
        pages.for_each(|page| into.extend_from_slice(page));
        at += u64::try_from(read).unwrap();
    }
}

fn signal(server: &Server, signal: &str) {
    let sent = Command::new("kill").args([signal, &server.id()]).status();
    assert!(sent.unwrap().success());
}
