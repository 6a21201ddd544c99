//! The webhook port behind TLS: HTTP as the server speaks it, and reviews in it.

use std::{cell::Cell, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use javelin::{
    metrics::Metrics,
    server::{Limits, connection, refusals::Refusals, routes::Reviews},
    shutdown::Shutdown,
};
use javelin_core::review::{self, Entry};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::{Builder, Runtime},
};

use crate::admission;

/// The first byte chooses. Even: the rest is whatever a client sends. Odd: it is the body of a request that is sent whole, in
/// pieces or in chunks, and is answered as the engine answers it.
pub fn http(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    if choice % 2 == 0 {
        as_it_is(rest, usize::from(choice / 2));
    } else {
        framed(rest, usize::from(choice / 2));
    }
}

/// Whatever is sent: answers of HTTP, not more than there may be requests, and none that blames the server.
fn as_it_is(bytes: &[u8], piece: usize) {
    let answers = exchange(bytes, piece, false);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let mut rest = answers.as_slice();
    let mut count = 0;
    // What was on its way when the client hung up is no matter.
    while let Some((status, _, behind)) = answer(rest) {
        let is_known = [100, 200, 400, 404, 405, 408, 413, 414, 431].contains(&status);
        assert!(is_known, "{status}");
        count += 1;
        rest = behind;
    }
    assert!(count <= lines / 2 + 1, "{count} answers for {lines} lines");
}

/// A review, however it comes.
fn framed(body: &[u8], choice: usize) {
    let (path, entry) = [
        ("/mutate/pod?timeout=10s", Entry::Pod),
        (
            "/second-chance/namespace/checkout?timeout=10s",
            Entry::Namespace("checkout".to_owned()),
        ),
        ("/mutate/namespace?timeout=10s", Entry::UnknownNamespace),
        ("/mutate/workload?timeout=10s", Entry::Workload),
        (
            "/warn/workload/checkout?timeout=1s",
            Entry::WorkloadWarning("checkout".to_owned()),
        ),
    ][choice % 5]
        .clone();
    let is_chunked = (choice / 5).is_multiple_of(2);
    let piece = choice / 10;
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
    if is_chunked {
        request.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(1 + piece * 7) {
            request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
    } else {
        request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
    }
    let answers = exchange(&request, piece, true);
    let (status, found, rest) = answer(&answers).expect("an answer");
    assert!(rest.is_empty());
    match review::answer(&entry, body, admission::config()) {
        Ok(expected) => {
            assert_eq!(status, 200);
            assert_eq!(found, expected.body);
        }
        Err(malformed) => {
            assert_eq!(status, 400);
            assert_eq!(found, format!("{malformed}\n").into_bytes());
        }
    }
}

/// One answer, its body, and what comes behind it; `None` where it is not whole. No answer of ours is in chunks.
fn answer(bytes: &[u8]) -> Option<(u16, Vec<u8>, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).expect("headers are text");
    let status = head.strip_prefix("HTTP/1.").expect("an answer of HTTP/1");
    let status = status[2..5].parse().expect("a status");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    let (body, rest) = bytes[end + 4..].split_at_checked(length)?;
    Some((status, body.to_vec(), rest))
}

/// Sends bytes, in pieces unless that is 0, and gives what comes back until the server hangs up: by itself where `is_last`, else
/// because the client does so when nothing more comes.
fn exchange(bytes: &[u8], piece: usize, is_last: bool) -> Vec<u8> {
    struct Server {
        runtime: Runtime,
        metrics: Arc<Metrics>,
        router: Router,
    }
    thread_local! {
        static SERVER: Server = {
            let metrics = Arc::new(Metrics::new());
            let refusals = Arc::new(Refusals::new(Arc::clone(&metrics)));
            let config = Arc::new(ArcSwap::from_pointee(admission::config().clone()));
            let reviews = Reviews::new(config, refusals, limits(), review::answer);
            Server {
                runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
                metrics,
                router: reviews.router(),
            }
        };
    }
    SERVER.with(|server| {
        let (mut client, stream) = tokio::io::duplex(64 * 1024);
        let router = server.router.clone();
        let serve = connection::serve_stream(stream, router, Shutdown::new(), limits());
        let answers = server.runtime.block_on(async move {
            let task = tokio::spawn(serve);
            let (mut from, mut to) = tokio::io::split(&mut client);
            let seen = Cell::new(0);
            let send = async {
                let size = if piece == 0 { bytes.len() } else { piece };
                for part in bytes.chunks(size.max(1)) {
                    // A server that has heard enough hangs up.
                    if to.write_all(part).await.is_err() {
                        return;
                    }
                    if piece != 0 {
                        tokio::task::yield_now().await;
                    }
                }
                let mut before = usize::MAX;
                while !is_last && before != seen.get() {
                    before = seen.get();
                    tokio::time::sleep(QUIET).await;
                }
                if !is_last {
                    let _ = to.shutdown().await;
                }
            };
            let mut answers = Vec::new();
            let receive = async {
                while from
                    .read_buf(&mut answers)
                    .await
                    .is_ok_and(|count| count > 0)
                {
                    seen.set(answers.len());
                }
            };
            let both = async { tokio::join!(send, receive) };
            tokio::time::timeout(PATIENCE, both)
                .await
                .expect("it hangs");
            task.await.expect("no panic");
            answers
        });
        assert_eq!(server.metrics.panics.get(), 0);
        answers
    })
}

/// With more patience than the real ones: whoever fuzzes may leave this program no time for a while.
fn limits() -> Limits {
    Limits {
        body: PATIENCE,
        queue: PATIENCE,
        first_request: PATIENCE,
        ..Limits::default()
    }
}

/// As long as a client waits for more, once it has sent all.
const QUIET: Duration = Duration::from_millis(1);

/// Nothing that the server waits for is longer, once the client has sent all.
const PATIENCE: Duration = Duration::from_mins(1);
