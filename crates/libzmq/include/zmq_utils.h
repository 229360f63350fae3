/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Old: what this file declared once is in zmq.h. */
#ifndef XEBEC_ZMQ_UTILS_H
#define XEBEC_ZMQ_UTILS_H

#include "zmq.h"

#endif
