//! The C functions of libzmq, found by name in the library that was loaded.
//!
//! The table is filled at once, so a library that lacks one of them is refused when it is loaded
//! and not in the middle of a test. Nothing here gives the functions a meaning: the contracts are
//! those of libzmq's manual pages, and the callers in the parent module keep them.

use std::ffi::{c_char, c_int, c_void};

/// Declares the table of functions and how it is filled.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $returned:ty)?;)*) => {
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $returned)?,)*
            // Keeps the functions above mapped.
            _library: libloading::Library,
        }

        impl Functions {
            pub(super) fn open(file: &str) -> Result<Self, libloading::Error> {
                // SAFETY: libzmq's initialisers only set up its own statics, on any thread.
                let library = unsafe { libloading::Library::new(file) }?;
                Ok(Functions {
                    $(
                        // SAFETY: the type is that of the declaration in zmq.h, and the pointer
                        // lives no longer than `_library`, in the same struct.
                        $name: *unsafe { library.get(stringify!($name)) }?,
                    )*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    zmq_version(*mut c_int, *mut c_int, *mut c_int);
    zmq_errno() -> c_int;
    zmq_strerror(c_int) -> *const c_char;
    zmq_ctx_new() -> *mut c_void;
    zmq_ctx_set(*mut c_void, c_int, c_int) -> c_int;
    zmq_ctx_shutdown(*mut c_void) -> c_int;
    zmq_ctx_term(*mut c_void) -> c_int;
    zmq_socket(*mut c_void, c_int) -> *mut c_void;
    zmq_close(*mut c_void) -> c_int;
    zmq_setsockopt(*mut c_void, c_int, *const c_void, usize) -> c_int;
    zmq_getsockopt(*mut c_void, c_int, *mut c_void, *mut usize) -> c_int;
    zmq_bind(*mut c_void, *const c_char) -> c_int;
    zmq_unbind(*mut c_void, *const c_char) -> c_int;
    zmq_connect(*mut c_void, *const c_char) -> c_int;
    zmq_disconnect(*mut c_void, *const c_char) -> c_int;
    zmq_socket_monitor(*mut c_void, *const c_char, c_int) -> c_int;
    zmq_proxy(*mut c_void, *mut c_void, *mut c_void) -> c_int;
    zmq_send(*mut c_void, *const c_void, usize, c_int) -> c_int;
    zmq_recv(*mut c_void, *mut c_void, usize, c_int) -> c_int;
    zmq_msg_init(*mut Part) -> c_int;
    zmq_msg_recv(*mut Part, *mut c_void, c_int) -> c_int;
    zmq_msg_data(*mut Part) -> *mut c_void;
    zmq_msg_size(*const Part) -> usize;
    zmq_msg_more(*const Part) -> c_int;
    zmq_msg_close(*mut Part) -> c_int;
}

/// Room for a `zmq_msg_t`: 64 bytes, aligned like a pointer, opaque.
#[repr(C, align(8))]
pub(super) struct Part(pub(super) [u8; 64]);
