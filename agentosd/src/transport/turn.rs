//! Turns: of one user's connections one runs at a time, however many there are.
//!
//! A connection's future is polled only in its user's turn, and the turns go round in the order in which they were asked
//! for. So at most one thread works for a user: reads its bytes, decodes, answers, reads files for it. A connection that
//! waits (for its peer, for an agent's end) is not polled and holds no turn. Whatever would keep a thread of the runtime
//! busy for long is done [`aside`], still in the turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes of a message up to which what it causes takes well under a millisecond.
pub(crate) const SMALL: usize = 16 << 10;

/// Does what may take long while other tasks run on other threads.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Does at once what a small message causes, and [`aside`] what a large one does: a hop costs more than a small one.
pub(crate) fn aside_if_large<T>(size: usize, work: impl FnOnce() -> T) -> T {
    if size > SMALL { aside(work) } else { work() }
}

/// The turns of one user.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// Root's connections do not wait for each other: root is not bounded anywhere, and starts agents side by side.
    pub(super) fn of(uid: u32) -> Self {
        Self(Arc::new(Semaphore::new(if uid == 0 { Semaphore::MAX_PERMITS } else { 1 })))
    }

    /// A future that makes progress only in a turn.
    pub(super) fn run<F: Future>(&self, future: F) -> InTurn<F> {
        InTurn { turns: Arc::clone(&self.0), asked: None, future: Box::pin(future) }
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// See [`Turns::run`].
pub(super) struct InTurn<F> {
    turns: Arc<Semaphore>,
    /// The place in the queue, while there is no turn.
    asked: Option<Asked>,
    future: Pin<Box<F>>,
}

impl<F> InTurn<F> {
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if self.asked.is_none() {
            // Fails while others wait, even if nobody's turn it is just now.
            if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
                return Poll::Ready(Some(turn));
            }
        }
        let asked = self.asked.get_or_insert_with(|| Box::pin(Arc::clone(&self.turns).acquire_owned()));
        let turn = ready!(asked.as_mut().poll(context));
        self.asked = None;
        // An error would mean that the semaphore is closed, which nobody does.
        Poll::Ready(turn.ok())
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _turn = ready!(self.turn(context));
        self.future.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(10);

    /// Works `rounds` times, in steps that take a while, and returns how many did so at the same time at most.
    async fn most_at_once(turns: &Turns, connections: usize) -> usize {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |now: Arc<AtomicUsize>, most: Arc<AtomicUsize>| async move {
            for _ in 0..5 {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                aside(|| std::thread::sleep(Duration::from_millis(2)));
                now.fetch_sub(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        };
        let tasks: Vec<_> =
            (0..connections).map(|_| tokio::spawn(turns.run(work(Arc::clone(&now), Arc::clone(&most))))).collect();
        for task in tasks {
            timeout(SOON, task).await.unwrap().unwrap();
        }
        most.load(Ordering::SeqCst)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_users_connections_run_one_at_a_time_and_roots_side_by_side() {
        assert_eq!(most_at_once(&Turns::of(5), 8).await, 1);
        assert!(most_at_once(&Turns::of(0), 8).await > 1, "the control");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_waits_holds_no_turn() {
        let turns = Turns::of(5);
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let waits = tokio::spawn(turns.run(woken));
        timeout(SOON, turns.run(tokio::time::sleep(Duration::from_millis(5)))).await.unwrap();
        wake.send(()).unwrap();
        timeout(SOON, waits).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_user_whose_turn_does_not_end_stops_nobody_else() {
        let (stuck, release) = std::sync::mpsc::channel::<()>();
        let mine = Turns::of(5);
        let blocked = tokio::spawn(mine.run(async move { aside(|| release.recv().ok()) }));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let behind = tokio::spawn(mine.run(async {}));
        timeout(SOON, Turns::of(6).run(tokio::task::yield_now())).await.unwrap();
        assert!(!behind.is_finished() && !blocked.is_finished(), "the control");
        drop(stuck);
        timeout(SOON, behind).await.unwrap().unwrap();
        timeout(SOON, blocked).await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_leaves_the_queue_is_not_waited_for() {
        let turns = Turns::of(5);
        let held = Arc::clone(&turns.0).acquire_owned().await.unwrap();
        let leaves = tokio::spawn(turns.run(std::future::pending::<()>()));
        let stays = tokio::spawn(turns.run(async {}));
        tokio::time::sleep(Duration::from_millis(20)).await;
        leaves.abort();
        assert!(leaves.await.is_err());
        drop(held);
        timeout(SOON, stays).await.unwrap().unwrap();
    }
}
