/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The C interface of Xebec: binary and source compatible with libzmq 4.3.6.
 *
 * Contents: version, types, errors, contexts, sockets, messages, events, waiting, relaying, keys,
 * timers, small tools, what libzmq has not, and what it calls draft, under ZMQ_BUILD_DRAFT_API.
 *
 * Unless it says otherwise, a function that gives an int gives 0, or -1 with the reason in errno; one that
 * gives a pointer gives NULL with the reason in errno. A name marked "old" still works; the newer
 * one stands beside it.
 */
#ifndef XEBEC_ZMQ_H
#define XEBEC_ZMQ_H

#include <errno.h>
#include <signal.h> /* sigset_t */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ZMQ_DEFINED_STDINT 1

#if defined ZMQ_NO_EXPORT || !defined __GNUC__
#define ZMQ_EXPORT
#else
#define ZMQ_EXPORT __attribute__ ((visibility ("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------- */

#define ZMQ_VERSION_MAJOR 4
#define ZMQ_VERSION_MINOR 3
#define ZMQ_VERSION_PATCH 6
#define ZMQ_MAKE_VERSION(major, minor, patch) (10000 * (major) + 100 * (minor) + (patch))
#define ZMQ_VERSION ZMQ_MAKE_VERSION (ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH)

/* The version of the library that the program found, which may differ from that of this file. */
ZMQ_EXPORT void zmq_version (int *major, int *minor, int *patch);

/* 1 if the library has the capability ("ipc", "curve", "draft", ...), else 0. */
#define ZMQ_HAS_CAPABILITIES 1
ZMQ_EXPORT int zmq_has (const char *capability);

/* ---- Types --------------------------------------------------------------------------------- */

/* One frame. Opaque; it lives where the application puts it, must be initialised before any other
 * use and closed after the last, and must not be copied as bytes. */
typedef struct zmq_msg_t
{
#ifdef __GNUC__
    unsigned char _[64] __attribute__ ((aligned (sizeof (void *))));
#else
    unsigned char _[64];
#endif
} zmq_msg_t;

/* A file descriptor of the system. */
typedef int zmq_fd_t;

/* One thing to wait for in zmq_poll: a socket, or if that is NULL, a descriptor. */
typedef struct zmq_pollitem_t
{
    void *socket;
    zmq_fd_t fd;
    short events;  /* wanted: ZMQ_POLLIN and its like */
    short revents; /* found */
} zmq_pollitem_t;

struct iovec; /* of <sys/uio.h> */

typedef void (zmq_free_fn) (void *data, void *hint);
typedef void (zmq_timer_fn) (int timer_id, void *arg);
typedef void (zmq_thread_fn) (void *arg);

/* ---- Errors -------------------------------------------------------------------------------- */

/* The errno of the calling thread, for programs with a C runtime other than the library's. */
ZMQ_EXPORT int zmq_errno (void);
/* What a number in errno means. */
ZMQ_EXPORT const char *zmq_strerror (int errnum);

/* Where the numbers begin that no system has. */
#define ZMQ_HAUSNUMERO 156384712

#define EFSM (ZMQ_HAUSNUMERO + 51)           /* not in this state, such as a second request */
#define ENOCOMPATPROTO (ZMQ_HAUSNUMERO + 52) /* the transport does not suit the socket's type */
#define ETERM (ZMQ_HAUSNUMERO + 53)          /* the context was terminated or shut down */
#define EMTHREAD (ZMQ_HAUSNUMERO + 54)       /* no I/O thread to do it */

/* Stand-ins where <errno.h> lacks a name. */
#ifndef ENOTSUP
#define ENOTSUP (ZMQ_HAUSNUMERO + 1)
#endif
#ifndef EPROTONOSUPPORT
#define EPROTONOSUPPORT (ZMQ_HAUSNUMERO + 2)
#endif
#ifndef ENOBUFS
#define ENOBUFS (ZMQ_HAUSNUMERO + 3)
#endif
#ifndef ENETDOWN
#define ENETDOWN (ZMQ_HAUSNUMERO + 4)
#endif
#ifndef EADDRINUSE
#define EADDRINUSE (ZMQ_HAUSNUMERO + 5)
#endif
#ifndef EADDRNOTAVAIL
#define EADDRNOTAVAIL (ZMQ_HAUSNUMERO + 6)
#endif
#ifndef ECONNREFUSED
#define ECONNREFUSED (ZMQ_HAUSNUMERO + 7)
#endif
#ifndef EINPROGRESS
#define EINPROGRESS (ZMQ_HAUSNUMERO + 8)
#endif
#ifndef ENOTSOCK
#define ENOTSOCK (ZMQ_HAUSNUMERO + 9)
#endif
#ifndef EMSGSIZE
#define EMSGSIZE (ZMQ_HAUSNUMERO + 10)
#endif
#ifndef EAFNOSUPPORT
#define EAFNOSUPPORT (ZMQ_HAUSNUMERO + 11)
#endif
#ifndef ENETUNREACH
#define ENETUNREACH (ZMQ_HAUSNUMERO + 12)
#endif
#ifndef ECONNABORTED
#define ECONNABORTED (ZMQ_HAUSNUMERO + 13)
#endif
#ifndef ECONNRESET
#define ECONNRESET (ZMQ_HAUSNUMERO + 14)
#endif
#ifndef ENOTCONN
#define ENOTCONN (ZMQ_HAUSNUMERO + 15)
#endif
#ifndef ETIMEDOUT
#define ETIMEDOUT (ZMQ_HAUSNUMERO + 16)
#endif
#ifndef EHOSTUNREACH
#define EHOSTUNREACH (ZMQ_HAUSNUMERO + 17)
#endif
#ifndef ENETRESET
#define ENETRESET (ZMQ_HAUSNUMERO + 18)
#endif

/* ---- Contexts ------------------------------------------------------------------------------ */

/* Options. ZMQ_SOCKET_LIMIT and ZMQ_MSG_T_SIZE can only be read. */
#define ZMQ_IO_THREADS 1
#define ZMQ_MAX_SOCKETS 2
#define ZMQ_SOCKET_LIMIT 3
#define ZMQ_THREAD_PRIORITY 3
#define ZMQ_THREAD_SCHED_POLICY 4
#define ZMQ_MAX_MSGSZ 5
#define ZMQ_MSG_T_SIZE 6
#define ZMQ_THREAD_AFFINITY_CPU_ADD 7
#define ZMQ_THREAD_AFFINITY_CPU_REMOVE 8
#define ZMQ_THREAD_NAME_PREFIX 9

/* What they are in a new context. */
#define ZMQ_IO_THREADS_DFLT 1
#define ZMQ_MAX_SOCKETS_DFLT 1023
#define ZMQ_THREAD_PRIORITY_DFLT -1
#define ZMQ_THREAD_SCHED_POLICY_DFLT -1

ZMQ_EXPORT void *zmq_ctx_new (void);
/* Gives the option's value, or -1. */
ZMQ_EXPORT int zmq_ctx_get (void *context, int option);
ZMQ_EXPORT int zmq_ctx_set (void *context, int option, int value);
/* Makes every call on its sockets but zmq_close fail with ETERM, now and later. */
ZMQ_EXPORT int zmq_ctx_shutdown (void *context);
/* Shuts down, then waits until all sockets are closed and their messages sent or their linger over. */
ZMQ_EXPORT int zmq_ctx_term (void *context);

/* Old: zmq_ctx_new with that many I/O threads; zmq_ctx_term, twice. */
ZMQ_EXPORT void *zmq_init (int io_threads);
ZMQ_EXPORT int zmq_term (void *context);
ZMQ_EXPORT int zmq_ctx_destroy (void *context);

/* ---- Sockets ------------------------------------------------------------------------------- */

/* Types. */
#define ZMQ_PAIR 0
#define ZMQ_PUB 1
#define ZMQ_SUB 2
#define ZMQ_REQ 3
#define ZMQ_REP 4
#define ZMQ_DEALER 5
#define ZMQ_ROUTER 6
#define ZMQ_PULL 7
#define ZMQ_PUSH 8
#define ZMQ_XPUB 9
#define ZMQ_XSUB 10
#define ZMQ_STREAM 11
#define ZMQ_XREQ ZMQ_DEALER /* old */
#define ZMQ_XREP ZMQ_ROUTER /* old */

ZMQ_EXPORT void *zmq_socket (void *context, int type);
ZMQ_EXPORT int zmq_close (void *socket);
ZMQ_EXPORT int zmq_bind (void *socket, const char *endpoint);
ZMQ_EXPORT int zmq_unbind (void *socket, const char *endpoint);
ZMQ_EXPORT int zmq_connect (void *socket, const char *endpoint);
ZMQ_EXPORT int zmq_disconnect (void *socket, const char *endpoint);

/* Flags of all that send or receive. */
#define ZMQ_DONTWAIT 1 /* fail with EAGAIN instead of waiting */
#define ZMQ_SNDMORE 2  /* this frame is not the message's last */
#define ZMQ_NOBLOCK ZMQ_DONTWAIT /* old */

/* One frame from or into the application's memory. They give the frame's whole length, even where
 * `length` was too short to receive all of it, or -1. The memory of zmq_send_const must last and
 * stay as it is for as long as the library may need it. */
ZMQ_EXPORT int zmq_send (void *socket, const void *from, size_t length, int flags);
ZMQ_EXPORT int zmq_send_const (void *socket, const void *from, size_t length, int flags);
ZMQ_EXPORT int zmq_recv (void *socket, void *into, size_t length, int flags);

/* Several frames at once, each in a place of its own, which zmq_recviov allocates by malloc. It gives
 * the number of frames of the one message; zmq_sendiov gives the length of the last frame, and sends
 * one message with ZMQ_SNDMORE, or as many as there are frames without. */
ZMQ_EXPORT int zmq_sendiov (void *socket, struct iovec *frames, size_t count, int flags);
ZMQ_EXPORT int zmq_recviov (void *socket, struct iovec *frames, size_t *count, int flags);

/* Options. `length` is the value's in bytes; zmq_getsockopt takes the room and tells the length. */
ZMQ_EXPORT int zmq_setsockopt (void *socket, int option, const void *value, size_t length);
ZMQ_EXPORT int zmq_getsockopt (void *socket, int option, void *value, size_t *length);

/* - int, unless another type is noted; times are in milliseconds, and 0 and 1 mean no and yes. */
/* What the socket is and does now: to be read only. */
#define ZMQ_RCVMORE 13
#define ZMQ_FD 14 /* zmq_fd_t: readable when ZMQ_EVENTS may have changed */
#define ZMQ_EVENTS 15
#define ZMQ_TYPE 16
#define ZMQ_LAST_ENDPOINT 32 /* text */
#define ZMQ_MECHANISM 43
#define ZMQ_THREAD_SAFE 81
/* Queues, sizes and time limits. */
#define ZMQ_LINGER 17
#define ZMQ_MAXMSGSIZE 22 /* int64_t */
#define ZMQ_SNDHWM 23
#define ZMQ_RCVHWM 24
#define ZMQ_RCVTIMEO 27
#define ZMQ_SNDTIMEO 28
#define ZMQ_IMMEDIATE 39
#define ZMQ_CONFLATE 54
/* Whom messages go to and come from. */
#define ZMQ_ROUTING_ID 5 /* bytes */
#define ZMQ_ROUTER_MANDATORY 33
#define ZMQ_ROUTER_RAW 41
#define ZMQ_PROBE_ROUTER 51
#define ZMQ_REQ_CORRELATE 52
#define ZMQ_REQ_RELAXED 53
#define ZMQ_ROUTER_HANDOVER 56
#define ZMQ_CONNECT_ROUTING_ID 61 /* bytes */
#define ZMQ_STREAM_NOTIFY 73
/* Subscriptions. */
#define ZMQ_SUBSCRIBE 6   /* bytes */
#define ZMQ_UNSUBSCRIBE 7 /* bytes */
#define ZMQ_XPUB_VERBOSE 40
#define ZMQ_XPUB_NODROP 69
#define ZMQ_XPUB_MANUAL 71
#define ZMQ_XPUB_WELCOME_MSG 72 /* bytes */
#define ZMQ_INVERT_MATCHING 74
#define ZMQ_XPUB_VERBOSER 78
/* How connections are made, kept alive and given up. */
#define ZMQ_AFFINITY 4 /* uint64_t */
#define ZMQ_RECONNECT_IVL 18
#define ZMQ_RECONNECT_IVL_MAX 21
#define ZMQ_HANDSHAKE_IVL 66
#define ZMQ_HEARTBEAT_IVL 75
#define ZMQ_HEARTBEAT_TTL 76
#define ZMQ_HEARTBEAT_TIMEOUT 77
#define ZMQ_CONNECT_TIMEOUT 79
/* What the system is asked for. */
#define ZMQ_SNDBUF 11
#define ZMQ_RCVBUF 12
#define ZMQ_BACKLOG 19
#define ZMQ_TCP_KEEPALIVE 34
#define ZMQ_TCP_KEEPALIVE_CNT 35
#define ZMQ_TCP_KEEPALIVE_IDLE 36
#define ZMQ_TCP_KEEPALIVE_INTVL 37
#define ZMQ_IPV6 42
#define ZMQ_TOS 57
#define ZMQ_TCP_MAXRT 80
#define ZMQ_USE_FD 89
#define ZMQ_BINDTODEVICE 92 /* text */
/* Security. */
#define ZMQ_PLAIN_SERVER 44
#define ZMQ_PLAIN_USERNAME 45 /* text */
#define ZMQ_PLAIN_PASSWORD 46 /* text */
#define ZMQ_CURVE_SERVER 47
#define ZMQ_CURVE_PUBLICKEY 48 /* 32 bytes, or 40 characters of Z85, as the next two */
#define ZMQ_CURVE_SECRETKEY 49
#define ZMQ_CURVE_SERVERKEY 50
#define ZMQ_ZAP_DOMAIN 55 /* text */
#define ZMQ_GSSAPI_SERVER 62
#define ZMQ_GSSAPI_PRINCIPAL 63         /* text */
#define ZMQ_GSSAPI_SERVICE_PRINCIPAL 64 /* text */
#define ZMQ_GSSAPI_PLAINTEXT 65
#define ZMQ_GSSAPI_PRINCIPAL_NAMETYPE 90
#define ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE 91
/* Proxies and transports other than tcp, ipc and inproc. */
#define ZMQ_RATE 8
#define ZMQ_RECOVERY_IVL 9
#define ZMQ_MULTICAST_HOPS 25
#define ZMQ_SOCKS_PROXY 68 /* text */
#define ZMQ_MULTICAST_MAXTPDU 84
#define ZMQ_VMCI_BUFFER_SIZE 85     /* uint64_t, as the next two */
#define ZMQ_VMCI_BUFFER_MIN_SIZE 86
#define ZMQ_VMCI_BUFFER_MAX_SIZE 87
#define ZMQ_VMCI_CONNECT_TIMEOUT 88
/* Whether zmq_ctx_term waits at all: of contexts, though its number is among these. */
#define ZMQ_BLOCKY 70
/* Old. */
#define ZMQ_IDENTITY ZMQ_ROUTING_ID
#define ZMQ_CONNECT_RID ZMQ_CONNECT_ROUTING_ID
#define ZMQ_DELAY_ATTACH_ON_CONNECT ZMQ_IMMEDIATE
#define ZMQ_FAIL_UNROUTABLE ZMQ_ROUTER_MANDATORY
#define ZMQ_ROUTER_BEHAVIOR ZMQ_ROUTER_MANDATORY
#define ZMQ_IPV4ONLY 31
#define ZMQ_TCP_ACCEPT_FILTER 38
#define ZMQ_IPC_FILTER_PID 58
#define ZMQ_IPC_FILTER_UID 59
#define ZMQ_IPC_FILTER_GID 60

/* Values of ZMQ_MECHANISM. */
#define ZMQ_NULL 0
#define ZMQ_PLAIN 1
#define ZMQ_CURVE 2
#define ZMQ_GSSAPI 3

/* Values of the two GSSAPI name types. */
#define ZMQ_GSSAPI_NT_HOSTBASED 0
#define ZMQ_GSSAPI_NT_USER_NAME 1
#define ZMQ_GSSAPI_NT_KRB5_PRINCIPAL 2

/* The longest name of a group of RADIO and DISH. */
#define ZMQ_GROUP_MAX_LENGTH 255

/* ---- Messages ------------------------------------------------------------------------------ */

/* Three beginnings: empty, with room, or around memory of the application, which `free` is called
 * with, once and from any thread, when nothing refers to it any longer. */
ZMQ_EXPORT int zmq_msg_init (zmq_msg_t *msg);
ZMQ_EXPORT int zmq_msg_init_size (zmq_msg_t *msg, size_t size);
ZMQ_EXPORT int
zmq_msg_init_data (zmq_msg_t *msg, void *data, size_t size, zmq_free_fn *free_fn, void *hint);
/* The end. */
ZMQ_EXPORT int zmq_msg_close (zmq_msg_t *msg);

/* Both give the frame's length or -1. What was sent is empty afterwards and need not be closed. */
ZMQ_EXPORT int zmq_msg_send (zmq_msg_t *msg, void *socket, int flags);
ZMQ_EXPORT int zmq_msg_recv (zmq_msg_t *msg, void *socket, int flags);
/* Old: the same with the first two exchanged. */
ZMQ_EXPORT int zmq_sendmsg (void *socket, zmq_msg_t *msg, int flags);
ZMQ_EXPORT int zmq_recvmsg (void *socket, zmq_msg_t *msg, int flags);

/* What was in `to` is released; `from` is empty after a move, and shares its body after a copy. */
ZMQ_EXPORT int zmq_msg_move (zmq_msg_t *to, zmq_msg_t *from);
ZMQ_EXPORT int zmq_msg_copy (zmq_msg_t *to, zmq_msg_t *from);

ZMQ_EXPORT void *zmq_msg_data (zmq_msg_t *msg);
ZMQ_EXPORT size_t zmq_msg_size (const zmq_msg_t *msg);
/* Whether more frames of the same message follow. */
ZMQ_EXPORT int zmq_msg_more (const zmq_msg_t *msg);

/* Properties: numbers by number, and by name what the peer told of itself. */
#define ZMQ_MORE 1
#define ZMQ_SRCFD 2 /* old */
#define ZMQ_SHARED 3
ZMQ_EXPORT int zmq_msg_get (const zmq_msg_t *msg, int property);
ZMQ_EXPORT int zmq_msg_set (zmq_msg_t *msg, int property, int value);
ZMQ_EXPORT const char *zmq_msg_gets (const zmq_msg_t *msg, const char *name);

/* ---- Events -------------------------------------------------------------------------------- */

/* Tells the events of `socket` that are in the mask, by a PAIR socket at that inproc endpoint; an
 * endpoint of NULL ends it. Each is two frames: number (16 bits) and value (32 bits), and the
 * endpoint. */
ZMQ_EXPORT int zmq_socket_monitor (void *socket, const char *endpoint, int events);

/* The connecting side. The value is the descriptor, or for RETRIED the wait before the next try. */
#define ZMQ_EVENT_CONNECTED 0x0001
#define ZMQ_EVENT_CONNECT_DELAYED 0x0002
#define ZMQ_EVENT_CONNECT_RETRIED 0x0004
/* The bound side. The value is the descriptor, or for those that failed, the errno. */
#define ZMQ_EVENT_LISTENING 0x0008
#define ZMQ_EVENT_BIND_FAILED 0x0010
#define ZMQ_EVENT_ACCEPTED 0x0020
#define ZMQ_EVENT_ACCEPT_FAILED 0x0040
/* Handshakes, and in brackets the value: nothing, an errno, one of ZMQ_PROTOCOL_ERROR_*, the
 * status code of the ZAP handler. */
#define ZMQ_EVENT_HANDSHAKE_SUCCEEDED 0x1000        /* (none) */
#define ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL 0x0800 /* (errno) */
#define ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL 0x2000  /* (protocol error) */
#define ZMQ_EVENT_HANDSHAKE_FAILED_AUTH 0x4000      /* (status code) */
/* Ends. */
#define ZMQ_EVENT_CLOSED 0x0080
#define ZMQ_EVENT_CLOSE_FAILED 0x0100
#define ZMQ_EVENT_DISCONNECTED 0x0200
#define ZMQ_EVENT_MONITOR_STOPPED 0x0400
/* The mask of all of them. */
#define ZMQ_EVENT_ALL 0xFFFF

/* Whose fault: 1... the peer's ZMTP, 11... keys or settings that do not match, 2... the ZAP
 * handler, 3... the peer's WebSocket. */
#define ZMQ_PROTOCOL_ERROR_ZMTP_UNSPECIFIED 0x10000000
#define ZMQ_PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND 0x10000001
#define ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_SEQUENCE 0x10000002
#define ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE 0x10000003
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED 0x10000011
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_MESSAGE 0x10000012
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_HELLO 0x10000013
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_INITIATE 0x10000014
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_ERROR 0x10000015
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_READY 0x10000016
#define ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_WELCOME 0x10000017
#define ZMQ_PROTOCOL_ERROR_ZMTP_INVALID_METADATA 0x10000018
#define ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC 0x11000001
#define ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH 0x11000002
#define ZMQ_PROTOCOL_ERROR_ZAP_UNSPECIFIED 0x20000000
#define ZMQ_PROTOCOL_ERROR_ZAP_MALFORMED_REPLY 0x20000001
#define ZMQ_PROTOCOL_ERROR_ZAP_BAD_REQUEST_ID 0x20000002
#define ZMQ_PROTOCOL_ERROR_ZAP_BAD_VERSION 0x20000003
#define ZMQ_PROTOCOL_ERROR_ZAP_INVALID_STATUS_CODE 0x20000004
#define ZMQ_PROTOCOL_ERROR_ZAP_INVALID_METADATA 0x20000005
#define ZMQ_PROTOCOL_ERROR_WS_UNSPECIFIED 0x30000000

/* ---- Waiting for several ------------------------------------------------------------------- */

#define ZMQ_POLLIN 1
#define ZMQ_POLLOUT 2
#define ZMQ_POLLERR 4 /* of descriptors only, as the next */
#define ZMQ_POLLPRI 8
#define ZMQ_POLLITEMS_DFLT 16

/* Waits for up to `timeout` milliseconds, or without end if it is -1. Gives how many items have
 * something in `revents`, or -1. */
ZMQ_EXPORT int zmq_poll (zmq_pollitem_t *items, int count, long timeout);

/* ---- Relaying ------------------------------------------------------------------------------ */

/* Hand messages from one socket to the other, both ways, and a copy of each to `capture` unless it
 * is NULL. They come back when the context ends, or `control` hears TERMINATE; it also
 * understands PAUSE, RESUME and STATISTICS. */
ZMQ_EXPORT int zmq_proxy (void *frontend, void *backend, void *capture);
ZMQ_EXPORT int zmq_proxy_steerable (void *frontend, void *backend, void *capture, void *control);

/* Old: zmq_proxy, whatever the first argument is. */
#define ZMQ_STREAMER 1
#define ZMQ_FORWARDER 2
#define ZMQ_QUEUE 3
ZMQ_EXPORT int zmq_device (int kind, void *frontend, void *backend);

/* ---- Keys ---------------------------------------------------------------------------------- */

/* Z85: four bytes are five characters. The length must be a multiple of that, and `text` has room
 * for a zero at its end. They give their first argument. */
ZMQ_EXPORT char *zmq_z85_encode (char *text, const uint8_t *bytes, size_t length);
ZMQ_EXPORT uint8_t *zmq_z85_decode (uint8_t *bytes, const char *text);
/* Keys of CURVE as text: 41 bytes of room each. */
ZMQ_EXPORT int zmq_curve_keypair (char *public_key, char *secret_key);
ZMQ_EXPORT int zmq_curve_public (char *public_key, const char *secret_key);

/* ---- Timers -------------------------------------------------------------------------------- */

#define ZMQ_HAVE_TIMERS

ZMQ_EXPORT void *zmq_timers_new (void);
/* Sets the pointer to NULL. */
ZMQ_EXPORT int zmq_timers_destroy (void **timers);
/* Calls `handler` every `interval` milliseconds, from zmq_timers_execute. Gives its id, or -1. */
ZMQ_EXPORT int zmq_timers_add (void *timers, size_t interval, zmq_timer_fn handler, void *arg);
ZMQ_EXPORT int zmq_timers_cancel (void *timers, int timer_id);
/* The next call is a whole interval from now. */
ZMQ_EXPORT int zmq_timers_set_interval (void *timers, int timer_id, size_t interval);
ZMQ_EXPORT int zmq_timers_reset (void *timers, int timer_id);
/* Milliseconds until the next is due, or -1 if there is none. */
ZMQ_EXPORT long zmq_timers_timeout (void *timers);
/* Calls those that are due. */
ZMQ_EXPORT int zmq_timers_execute (void *timers);

/* ---- Small tools --------------------------------------------------------------------------- */

/* A number that threads may count with. inc gives what it was; dec gives 0 if it has become 0,
 * else 1. */
ZMQ_EXPORT void *zmq_atomic_counter_new (void);
ZMQ_EXPORT void zmq_atomic_counter_set (void *counter, int value);
ZMQ_EXPORT int zmq_atomic_counter_inc (void *counter);
ZMQ_EXPORT int zmq_atomic_counter_dec (void *counter);
ZMQ_EXPORT int zmq_atomic_counter_value (void *counter);
ZMQ_EXPORT void zmq_atomic_counter_destroy (void **counter);

/* Microseconds since the start. stop also releases the watch. */
ZMQ_EXPORT void *zmq_stopwatch_start (void);
ZMQ_EXPORT unsigned long zmq_stopwatch_intermediate (void *watch);
ZMQ_EXPORT unsigned long zmq_stopwatch_stop (void *watch);

ZMQ_EXPORT void zmq_sleep (int seconds);

/* A thread, and the wait for its end. */
ZMQ_EXPORT void *zmq_threadstart (zmq_thread_fn *body, void *arg);
ZMQ_EXPORT void zmq_threadclose (void *thread);

/* ---- What libzmq has not ------------------------------------------------------------------- */

/* An option of sockets, int: for how many microseconds a call that waits looks again and again before
 * it sleeps. 0 never does. */
#define XEBEC_SPIN 0x58450001

/* An option of sockets, int: how many bytes may wait for each peer, beside ZMQ_SNDHWM messages. 0 is no
 * limit. */
#define XEBEC_SNDHWM_BYTES 0x58450002

/* ---- What libzmq calls draft --------------------------------------------------------------- */

/* The library has all of it, always; the guard is there because libzmq may still change it. */
#ifdef ZMQ_BUILD_DRAFT_API

/* - Contexts */
#define ZMQ_ZERO_COPY_RECV 10
ZMQ_EXPORT int zmq_ctx_set_ext (void *context, int option, const void *value, size_t length);
ZMQ_EXPORT int zmq_ctx_get_ext (void *context, int option, void *value, size_t *length);

/* - Sockets of one frame a message, for several threads at once; all but DGRAM */
#define ZMQ_SERVER 12
#define ZMQ_CLIENT 13
#define ZMQ_RADIO 14
#define ZMQ_DISH 15
#define ZMQ_GATHER 16
#define ZMQ_SCATTER 17
#define ZMQ_DGRAM 18
#define ZMQ_PEER 19
#define ZMQ_CHANNEL 20

/* The groups of a DISH. */
ZMQ_EXPORT int zmq_join (void *socket, const char *group);
ZMQ_EXPORT int zmq_leave (void *socket, const char *group);
/* Gives the routing id of a PEER's new peer, or 0. */
ZMQ_EXPORT uint32_t zmq_connect_peer (void *socket, const char *endpoint);
ZMQ_EXPORT int zmq_disconnect_peer (void *socket, uint32_t routing_id);
/* ZMQ_POLLOUT if a ROUTER could send to this peer, or -1. */
ZMQ_EXPORT int
zmq_socket_get_peer_state (void *socket, const void *routing_id, size_t routing_id_length);

/* - Options of sockets, int unless noted */
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#define ZMQ_LOOPBACK_FASTPATH 94
#define ZMQ_METADATA 95 /* text: name:value */
#define ZMQ_MULTICAST_LOOP 96
#define ZMQ_ROUTER_NOTIFY 97 /* ZMQ_NOTIFY_CONNECT, ZMQ_NOTIFY_DISCONNECT */
#define ZMQ_XPUB_MANUAL_LAST_VALUE 98
#define ZMQ_SOCKS_USERNAME 99  /* text */
#define ZMQ_SOCKS_PASSWORD 100 /* text */
#define ZMQ_IN_BATCH_SIZE 101
#define ZMQ_OUT_BATCH_SIZE 102
#define ZMQ_WSS_KEY_PEM 103   /* text, as the next three */
#define ZMQ_WSS_CERT_PEM 104
#define ZMQ_WSS_TRUST_PEM 105
#define ZMQ_WSS_HOSTNAME 106
#define ZMQ_WSS_TRUST_SYSTEM 107
#define ZMQ_ONLY_FIRST_SUBSCRIBE 108
#define ZMQ_RECONNECT_STOP 109 /* ZMQ_RECONNECT_STOP_* */
#define ZMQ_HELLO_MSG 110      /* bytes, as the next and ZMQ_HICCUP_MSG */
#define ZMQ_DISCONNECT_MSG 111
#define ZMQ_PRIORITY 112
#define ZMQ_BUSY_POLL 113
#define ZMQ_HICCUP_MSG 114
#define ZMQ_XSUB_VERBOSE_UNSUBSCRIBE 115
#define ZMQ_TOPICS_COUNT 116 /* to be read only */
#define ZMQ_NORM_MODE 117    /* ZMQ_NORM_FIXED, ... */
#define ZMQ_NORM_UNICAST_NACK 118
#define ZMQ_NORM_BUFFER_SIZE 119
#define ZMQ_NORM_SEGMENT_SIZE 120
#define ZMQ_NORM_BLOCK_SIZE 121
#define ZMQ_NORM_NUM_PARITY 122
#define ZMQ_NORM_NUM_AUTOPARITY 123
#define ZMQ_NORM_PUSH 124

/* Their values. */
#define ZMQ_NOTIFY_CONNECT 1
#define ZMQ_NOTIFY_DISCONNECT 2
#define ZMQ_RECONNECT_STOP_CONN_REFUSED 0x1
#define ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED 0x2
#define ZMQ_RECONNECT_STOP_AFTER_DISCONNECT 0x4
#define ZMQ_NORM_FIXED 0
#define ZMQ_NORM_CC 1
#define ZMQ_NORM_CCL 2
#define ZMQ_NORM_CCE 3
#define ZMQ_NORM_CCE_ECNONLY 4

/* - Messages */
ZMQ_EXPORT int zmq_msg_init_buffer (zmq_msg_t *msg, const void *from, size_t length);
/* Whom a SERVER or PEER sends to and received from. */
ZMQ_EXPORT int zmq_msg_set_routing_id (zmq_msg_t *msg, uint32_t routing_id);
ZMQ_EXPORT uint32_t zmq_msg_routing_id (zmq_msg_t *msg);
/* Which group a RADIO sends to and a DISH received from. */
ZMQ_EXPORT int zmq_msg_set_group (zmq_msg_t *msg, const char *group);
ZMQ_EXPORT const char *zmq_msg_group (zmq_msg_t *msg);

/* Names for zmq_msg_gets. */
#define ZMQ_MSG_PROPERTY_ROUTING_ID "Routing-Id"
#define ZMQ_MSG_PROPERTY_SOCKET_TYPE "Socket-Type"
#define ZMQ_MSG_PROPERTY_USER_ID "User-Id"
#define ZMQ_MSG_PROPERTY_PEER_ADDRESS "Peer-Address"

/* - Events of more than 16 bits, in frames of 64 bits */
#define ZMQ_EVENT_PIPES_STATS 0x10000
#define ZMQ_EVENT_ALL_V1 ZMQ_EVENT_ALL
#define ZMQ_EVENT_ALL_V2 (ZMQ_EVENT_ALL_V1 | ZMQ_EVENT_PIPES_STATS)
#define ZMQ_CURRENT_EVENT_VERSION 1
#define ZMQ_CURRENT_EVENT_VERSION_DRAFT 2
/* `type` is PAIR, PUB or PUSH: the type of the socket that tells them. */
ZMQ_EXPORT int zmq_socket_monitor_versioned (
  void *socket, const char *endpoint, uint64_t events, int version, int type);
/* Asks for one ZMQ_EVENT_PIPES_STATS of each pipe. */
ZMQ_EXPORT int zmq_socket_monitor_pipes_stats (void *socket);

/* - Waiting */

/* zmq_poll with this signal mask while it waits, as in ppoll(2). */
ZMQ_EXPORT int
zmq_ppoll (zmq_pollitem_t *items, int count, long timeout, const sigset_t *sigmask);

/* A set of things to wait for, sockets for several threads among them. */
#define ZMQ_HAVE_POLLER
typedef struct zmq_poller_event_t
{
    void *socket;
    zmq_fd_t fd;
    void *user_data;
    short events;
} zmq_poller_event_t;

ZMQ_EXPORT void *zmq_poller_new (void);
/* Sets the pointer to NULL. */
ZMQ_EXPORT int zmq_poller_destroy (void **poller);
/* How many are in it. */
ZMQ_EXPORT int zmq_poller_size (void *poller);
ZMQ_EXPORT int zmq_poller_add (void *poller, void *socket, void *user_data, short events);
ZMQ_EXPORT int zmq_poller_modify (void *poller, void *socket, short events);
ZMQ_EXPORT int zmq_poller_remove (void *poller, void *socket);
ZMQ_EXPORT int zmq_poller_add_fd (void *poller, zmq_fd_t fd, void *user_data, short events);
ZMQ_EXPORT int zmq_poller_modify_fd (void *poller, zmq_fd_t fd, short events);
ZMQ_EXPORT int zmq_poller_remove_fd (void *poller, zmq_fd_t fd);
/* One event, or all up to `count`, whose number wait_all gives. If the time is over: -1, EAGAIN. */
ZMQ_EXPORT int zmq_poller_wait (void *poller, zmq_poller_event_t *event, long timeout);
ZMQ_EXPORT int
zmq_poller_wait_all (void *poller, zmq_poller_event_t *events, int count, long timeout);
/* A descriptor that tells of the sockets for several threads in it. */
ZMQ_EXPORT int zmq_poller_fd (void *poller, zmq_fd_t *fd);

#endif /* ZMQ_BUILD_DRAFT_API */

#undef ZMQ_EXPORT

#ifdef __cplusplus
}
#endif

#endif
