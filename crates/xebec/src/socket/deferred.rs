//! What a thread has left waiting for company, in all of its sockets.
//!
//! A message that waits for others is written when the thread sends enough of them, and at the tick. But
//! a thread that turns to another of its sockets may not come back for long, and where it waits there for
//! a reply, the peer may be waiting for the very message that has not left.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::process::Pid;

use super::Core;
use crate::pipe::SILENCE;

thread_local! {
    /// The sockets, and since when; those that the background thread was faster with, too.
    static DEFERRED: RefCell<Vec<(Weak<Core>, Instant)>> = const { RefCell::new(Vec::new()) };
}

impl Core {
    /// The calling thread has left output here. What it left in others before, and for longer than company
    /// takes to come, leaves now: a thread that goes from one socket to the next has been at work there
    /// meanwhile. (64 DEALERs of one thread took turns with their ROUTER: all wrote, then all waited.)
    #[cold]
    pub(super) fn defer(self: &Arc<Self>) {
        let now = Instant::now();
        let old = DEFERRED.with_borrow_mut(|list| {
            list.retain(|(core, _)| !self.is(core));
            let old = list.extract_if(.., |(_, since)| now.duration_since(*since) > SILENCE);
            let old = old.collect();
            list.push((Arc::downgrade(self), now));
            old
        });
        flush(old, self.ctx.process());
    }

    /// The calling thread is about to wait: nothing that it has sent may wait for its return. Whether
    /// anything did. `process` is the calling one, as the contexts that it made tell.
    pub(crate) fn flush_deferred(process: Pid) -> bool {
        flush(DEFERRED.with_borrow_mut(std::mem::take), process)
    }

    /// The same, for a thread that has written what there is of this socket.
    pub(super) fn has_deferred_elsewhere(self: &Arc<Self>) -> bool {
        DEFERRED.with_borrow_mut(|list| {
            list.retain(|(core, _)| !self.is(core));
            !list.is_empty()
        })
    }

    fn is(self: &Arc<Self>, core: &Weak<Core>) -> bool {
        core.as_ptr() == Arc::as_ptr(self)
    }
}

/// Writes what waits in these. Whether there were any.
fn flush(deferred: Vec<(Weak<Core>, Instant)>, process: Pid) -> bool {
    // A process that was forked leaves its parent's to the parent.
    let own = |core: &Arc<Core>| core.ctx.process() == process;
    for core in deferred
        .iter()
        .filter_map(|(core, _)| core.upgrade())
        .filter(own)
    {
        let mut st = core.lock();
        st.pipes.flush_dirty();
        core.settle(&mut st);
    }
    !deferred.is_empty()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zmtp::SocketType;

    use super::*;
    use crate::context::Context;
    use crate::socket::Socket;

    /// A PUSH with a PULL that has already had something from it.
    fn pair(context: &Context) -> (Socket, Socket) {
        let pull = context.socket(SocketType::Pull).unwrap();
        let push = context.socket(SocketType::Push).unwrap();
        push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
            .unwrap();
        push.send("first").unwrap();
        pull.recv().unwrap();
        (push, pull)
    }

    fn waits(socket: &Socket) -> bool {
        socket.core().lock_for_link().pipes.is_dirty()
    }

    /// Has output wait in one socket, does something in another, and expects that it does not wait any more.
    /// Not every time: a machine with other work may take the time away in which it was to happen. The
    /// background thread takes longer.
    fn leaves_when(elsewhere: impl Fn(&Socket, &Socket)) {
        let context = Context::new();
        let ((push, pull), (other, silent)) = (pair(&context), pair(&context));
        let (mut waited, mut left) = (0, 0);
        while waited < 50 {
            (0..3).for_each(|_| push.send("soon followed").unwrap());
            if waits(&push) {
                waited += 1;
                elsewhere(&other, &silent);
                left += usize::from(!waits(&push));
            }
            (0..3).for_each(|_| drop(pull.recv().unwrap()));
        }
        assert!(left > waited / 2, "{left} of {waited}");
    }

    #[test]
    fn what_waits_in_one_socket_leaves_before_a_spin_in_another() {
        leaves_when(|_, silent| {
            let none = silent.recv_timeout(Duration::from_micros(10));
            none.unwrap_err();
        });
    }

    #[test]
    fn what_waits_in_one_socket_leaves_when_its_thread_has_turned_to_another() {
        leaves_when(|other, _| {
            let begun = Instant::now();
            while begun.elapsed() <= SILENCE {}
            (0..3).for_each(|_| other.send("soon followed").unwrap());
        });
    }
}
