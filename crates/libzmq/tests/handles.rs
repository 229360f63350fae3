//! Handles that are closed, or of another kind. One test, in a process of its own: a closed handle is
//! used again for the next socket of whoever makes one.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use zmq::*;

const PULL: c_int = 7;

#[track_caller]
fn refused(returned: c_int, errno: c_int) {
    assert_eq!((returned, zmq_errno()), (-1, errno));
}

#[test]
fn handles_that_are_none_are_refused() {
    use libc::{EFAULT, ENOTSOCK};
    let context = zmq_ctx_new();
    // SAFETY: handles that are closed or of another kind are refused, by contract, and so are
    // messages that are closed.
    unsafe {
        let closed = zmq_socket(context, PULL);
        assert_eq!(zmq_close(closed), 0);
        for handle in [closed, context, null_mut::<c_void>()] {
            refused(zmq_close(handle), ENOTSOCK);
            refused(zmq_bind(handle, c"inproc://x".as_ptr()), ENOTSOCK);
            refused(zmq_send(handle, null(), 0, 0), ENOTSOCK);
            refused(zmq_recv(handle, null_mut(), 0, 0), ENOTSOCK);
        }
        // The closed handle is used again here: another socket, and no context either.
        let open = zmq_socket(context, PULL);
        for handle in [open, null_mut()] {
            assert!(zmq_socket(handle, PULL).is_null());
            refused(zmq_ctx_term(handle), EFAULT);
        }
        let mut message = MaybeUninit::<zmq_msg_t>::uninit();
        let at = message.as_mut_ptr();
        assert_eq!(zmq_msg_init_size(at, 100), 0);
        assert_eq!(zmq_msg_close(at), 0);
        refused(zmq_msg_close(at), EFAULT);
        refused(zmq_msg_send(at, open, 0), EFAULT);
        refused(zmq_msg_recv(at, open, 0), EFAULT);
        assert!(zmq_msg_data(at).is_null());
        assert_eq!(zmq_close(open), 0);
        assert_eq!(zmq_ctx_term(context), 0);
        refused(zmq_ctx_term(context), EFAULT);
    }
}
