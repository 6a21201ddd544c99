//! More honest clients than there is time for.

use std::{
    net::Ipv4Addr,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    attack::{names, pod, post, review},
    is_long, milliseconds, note,
    server::{Client, Server},
};

/// As many clients as it takes to reach the peak: more than there are threads to decide.
const ENOUGH: usize = 8;

/// As many as one address may have. Each comes again as soon as it has an answer, be it that there was no time.
const TOO_MANY: usize = 360;

/// What each waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a number of clients got.
#[derive(Default)]
struct Served {
    /// With the agent, in time.
    good: AtomicUsize,
    /// Admitted unchanged, in time.
    unchanged: AtomicUsize,
    /// Too late, or not at all.
    late: AtomicUsize,
}

impl Served {
    fn good(&self) -> usize {
        self.good.load(Ordering::SeqCst)
    }
}

/// At ten times of what can be done, four fifths of it are still done. Nothing is computed for those who are gone, and a second
/// later it is over.
pub(crate) fn ten_times_too_much(name: &str) {
    let seconds = if is_long() { 10 } else { 2 };
    // One core is the server's and the others are the clients', where nobody else wants it.
    let mut server = Server::start(if is_long() {
        "taskset -cp 0 $$ >/dev/null 2>&1 || true"
    } else {
        ":"
    });
    // As much as an ordinary body may hold: 32 KiB.
    let containers = 30;
    let body = review(&pod(containers, &names("app", containers)));
    assert!(body.len() < 32 * 1024);
    let request = post("/mutate/pod?timeout=1s", body.as_bytes());
    load(&server, ENOUGH, Duration::from_millis(500), &request);
    let window = Duration::from_secs(seconds);
    let peak = load(&server, ENOUGH, window, &request);
    let decided = || server.metric(r#"javelin_reviews_total{entry="pod",outcome="injected"}"#);
    let before = decided();
    let overload = load(&server, TOO_MANY, window, &request);
    let ended = Instant::now();
    server.client().review();
    let recovery = ended.elapsed();
    let computed = usize::try_from(decided() - before).unwrap();
    let asked = [&overload.good, &overload.unchanged, &overload.late]
        .map(|count| count.load(Ordering::SeqCst));
    let [good, unchanged, late] = asked;
    note(format!(
        "{name}: {} reviews in {seconds} s at the peak; of {} that were asked then {good} with the agent ({} %), {unchanged} unchanged, {late} late; {computed} were decided; a review {:.1} ms after it",
        peak.good(),
        asked.iter().sum::<usize>(),
        100 * good / peak.good().max(1),
        milliseconds(recovery),
    ));
    server.judge(&[]);
    // Two windows of seconds on a machine that others use are hardly comparable.
    let (least, nobody_waited) = if is_long() {
        (80, good / 10)
    } else {
        (30, late + good / 2)
    };
    assert!(
        100 * good >= least * peak.good(),
        "{good} reviews under overload, {} at the peak",
        peak.good()
    );
    // The last ones may be on their way when the clients end.
    assert!(
        computed <= good + nobody_waited + 10,
        "{computed} were decided for {good} answers"
    );
    assert!(recovery <= Duration::from_secs(1), "{recovery:?}");
}

/// So many clients, each with the next request as soon as it has an answer.
fn load(server: &Server, clients: usize, window: Duration, request: &[u8]) -> Served {
    let counts = Served::default();
    let is_over = AtomicBool::new(false);
    let start = Barrier::new(clients + 1);
    let (address, config) = (server.address(), server.config());
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let connect = || Client::connect(address, Ipv4Addr::LOCALHOST, config.clone()).ok();
                let mut client = connect();
                start.wait();
                while !is_over.load(Ordering::SeqCst) {
                    let asked = Instant::now();
                    let answer = client.as_mut().and_then(|client| {
                        let _ = client.0.sock.set_read_timeout(Some(PATIENCE));
                        client.ask(request).ok()
                    });
                    let kind = match answer {
                        Some(answer) if asked.elapsed() <= PATIENCE => {
                            if answer.contains(r#""patch":"#) {
                                &counts.good
                            } else {
                                &counts.unchanged
                            }
                        }
                        Some(_) => &counts.late,
                        None => {
                            client = connect();
                            &counts.late
                        }
                    };
                    if !is_over.load(Ordering::SeqCst) {
                        kind.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        start.wait();
        thread::sleep(window);
        is_over.store(true, Ordering::SeqCst);
    });
    counts
}
