use std::net::Ipv4Addr;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;

const LONG: Duration = Duration::from_mins(1);

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Fills the one thread of `pool` until the sender is dropped.
fn occupy(pool: &Arc<Pool<usize>>) -> (mpsc::Sender<()>, JoinSet<Result<usize, Refusal>>) {
    let (hold, end) = mpsc::channel::<()>();
    let mut running = JoinSet::new();
    let pool = Arc::clone(pool);
    running.spawn(async move {
        pool.run(ONE, Instant::now() + LONG, move || {
            end.recv().map_or(0, |()| 1)
        })
        .await
    });
    (hold, running)
}

async fn until_waiting(pool: &Pool<usize>, count: usize) {
    let wait = async {
        while pool.lock().waiting.len() != count || pool.lock().threads.iter().any(Option::is_none)
        {
            tokio::task::yield_now().await;
        }
    };
    let outcome = tokio::time::timeout(LONG, wait).await;
    outcome.unwrap_or_else(|_| panic!("it never came that {count} wait"));
}

#[tokio::test]
async fn the_newest_is_first_and_the_oldest_makes_room() {
    let pool = Pool::new(1, 2);
    let (hold, mut running) = occupy(&pool);
    until_waiting(&pool, 0).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 1..=3 {
        let (pool_of_task, order) = (Arc::clone(&pool), Arc::clone(&order));
        running.spawn(async move {
            let work = move || {
                order.lock().unwrap().push(number);
                number
            };
            pool_of_task.run(ONE, Instant::now() + LONG, work).await
        });
        until_waiting(&pool, number.min(2)).await;
    }
    // The third took the place of the first, which is told at once.
    assert_eq!(
        running.join_next().await.unwrap().unwrap(),
        Err(Refusal::Overloaded)
    );
    drop(hold);
    while running.join_next().await.is_some() {}
    assert_eq!(*order.lock().unwrap(), [3, 2]);
    assert_eq!(pool.run(ONE, Instant::now() + LONG, || 7).await, Ok(7));
}

/// One address alone is served newest first; with another, by turns, and it is the one with many that makes room.
#[tokio::test]
async fn nobody_waits_for_the_many_of_somebody_else() {
    let pool = Pool::new(1, 3);
    let (hold, mut running) = occupy(&pool);
    until_waiting(&pool, 0).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    for (number, from) in [(1, ONE), (2, OTHER), (3, ONE), (4, ONE)] {
        let (pool_of_task, order) = (Arc::clone(&pool), Arc::clone(&order));
        running.spawn(async move {
            let work = move || {
                order.lock().unwrap().push(number);
                number
            };
            pool_of_task.run(from, Instant::now() + LONG, work).await
        });
        until_waiting(&pool, number.min(3)).await;
    }
    let refused = running.join_next().await.unwrap().unwrap();
    assert_eq!(refused, Err(Refusal::Overloaded));
    drop(hold);
    while running.join_next().await.is_some() {}
    assert_eq!(*order.lock().unwrap(), [2, 4, 3]);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_computed() {
    let pool = Pool::new(1, 10);
    let (hold, mut running) = occupy(&pool);
    until_waiting(&pool, 0).await;
    let computed = Arc::new(AtomicUsize::new(0));
    let count = || {
        let computed = Arc::clone(&computed);
        move || computed.fetch_add(1, Ordering::SeqCst)
    };
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(pool.run(ONE, soon, count()).await, Err(Refusal::Overloaded));
    // On a busy machine it was late before it could wait.
    let waiting = pool.lock().waiting.len();
    let hung_up = tokio::spawn({
        let (pool, work) = (Arc::clone(&pool), count());
        async move { pool.run(ONE, Instant::now() + LONG, work).await }
    });
    until_waiting(&pool, waiting + 1).await;
    hung_up.abort();
    let _ = hung_up.await;
    drop(hold);
    running.join_next().await;
    assert_eq!(pool.run(ONE, Instant::now() + LONG, || 7).await, Ok(7));
    assert_eq!(computed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_pool_whose_threads_are_all_overdue_refuses_at_once_and_recovers() {
    let pool = Pool::new(2, 10);
    let mut holds = vec![overdue(&pool).await, overdue(&pool).await];
    assert_eq!(
        pool.run(ONE, Instant::now() + LONG, || 7).await,
        Err(Refusal::Stuck)
    );
    holds.pop();
    while !pool.lock().threads.iter().any(Option::is_none) {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.run(ONE, Instant::now() + LONG, || 7).await, Ok(7));
}

/// Takes one thread of `pool`, beyond the deadline of what it works on, until the sender is dropped.
async fn overdue(pool: &Arc<Pool<usize>>) -> mpsc::Sender<()> {
    let mut patience = Duration::from_millis(20);
    loop {
        let (hold, end) = mpsc::channel::<()>();
        let work = move || end.recv().map_or(0, |()| 1);
        match pool.run(ONE, Instant::now() + patience, work).await {
            Err(Refusal::Late) => return hold,
            // The machine was too slow to begin in time, and so it has not.
            outcome => assert_eq!(outcome, Err(Refusal::Overloaded)),
        }
        patience *= 2;
    }
}

#[tokio::test]
async fn what_comes_too_late_is_not_begun_by_an_idle_thread_either() {
    let pool = Pool::new(1, 1);
    let begun = Arc::new(AtomicBool::new(false));
    let work = {
        let begun = Arc::clone(&begun);
        move || {
            begun.store(true, Ordering::SeqCst);
            1
        }
    };
    let late = pool.run(ONE, Instant::now(), work).await;
    assert_eq!(late, Err(Refusal::Overloaded));
    assert_eq!(pool.run(ONE, Instant::now() + LONG, || 7).await, Ok(7));
    assert!(!begun.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panic_costs_no_thread() {
    let pool = Pool::new(1, 1);
    for _ in 0..3 {
        let lost = pool
            .run(ONE, Instant::now() + LONG, || -> usize {
                panic!("on purpose")
            })
            .await;
        assert_eq!(lost, Err(Refusal::Overloaded));
    }
    assert_eq!(pool.run(ONE, Instant::now() + LONG, || 7).await, Ok(7));
}
