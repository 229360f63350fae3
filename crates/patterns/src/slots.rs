//! Where what a machine tells waits for the thread or task that it is for.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The slots of those who wait, by the numbers of what they wait for.
#[derive(Debug)]
pub(crate) struct Slots<T>(Arc<Mutex<HashMap<u64, Arc<Slot<T>>>>>);

/// What has come for one of them.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    news: Condvar,
}

#[derive(Debug)]
struct State<T> {
    outputs: VecDeque<T>,
    waker: Option<Waker>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots(Arc::default())
    }
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Slots(self.0.clone())
    }
}

impl<T> Slots<T> {
    /// A new one.
    pub(crate) fn open(&self, number: u64) -> Arc<Slot<T>> {
        let slot = Arc::new(Slot {
            state: Mutex::new(State {
                outputs: VecDeque::new(),
                waker: None,
            }),
            news: Condvar::new(),
        });
        self.0.lock().insert(number, slot.clone());
        slot
    }

    /// Nobody waits there any more.
    pub(crate) fn close(&self, number: u64) {
        self.0.lock().remove(&number);
    }

    /// Puts something where somebody waits for it; otherwise it is dropped.
    pub(crate) fn put(&self, number: u64, output: T) {
        let slot = self.0.lock().get(&number).cloned();
        if let Some(slot) = slot {
            let mut state = slot.state.lock();
            state.outputs.push_back(output);
            slot.news.notify_one();
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl<T> Slot<T> {
    /// Waits for the next output; `None` once whatever fills the slot is found to have ended.
    pub(crate) fn wait(&self, mut has_ended: impl FnMut() -> bool) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(output) = state.outputs.pop_front() {
                return Some(output);
            }
            let a_while = Duration::from_secs(1);
            if self.news.wait_for(&mut state, a_while).timed_out()
                && state.outputs.is_empty()
                && has_ended()
            {
                return None;
            }
        }
    }

    /// Waits for the next output in an async task.
    pub(crate) async fn wait_async(&self) -> T {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            match state.outputs.pop_front() {
                Some(output) => Poll::Ready(output),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
