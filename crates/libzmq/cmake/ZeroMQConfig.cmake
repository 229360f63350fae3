# find_package(ZeroMQ): the targets libzmq and libzmq-static, and as variables ZeroMQ_INCLUDE_DIR,
# ZeroMQ_LIBRARY and ZeroMQ_STATIC_LIBRARY. All paths are relative to this file.

get_filename_component(_zeromq_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(ZeroMQ_INCLUDE_DIR "${_zeromq_prefix}/include")
set(ZeroMQ_LIBRARY "${_zeromq_prefix}/lib/libzmq.so")
set(ZeroMQ_STATIC_LIBRARY "${_zeromq_prefix}/lib/libzmq.a")

if(NOT TARGET libzmq)
  add_library(libzmq SHARED IMPORTED)
  set_target_properties(libzmq PROPERTIES
    IMPORTED_LOCATION "${ZeroMQ_LIBRARY}"
    IMPORTED_SONAME "libzmq.so.5"
    INTERFACE_INCLUDE_DIRECTORIES "${ZeroMQ_INCLUDE_DIR}")
endif()

if(NOT TARGET libzmq-static)
  find_package(Threads QUIET)
  add_library(libzmq-static STATIC IMPORTED)
  set_target_properties(libzmq-static PROPERTIES
    IMPORTED_LOCATION "${ZeroMQ_STATIC_LIBRARY}"
    IMPORTED_LINK_INTERFACE_LANGUAGES "C"
    INTERFACE_LINK_LIBRARIES "gcc_s;${CMAKE_THREAD_LIBS_INIT};m;${CMAKE_DL_LIBS}"
    INTERFACE_INCLUDE_DIRECTORIES "${ZeroMQ_INCLUDE_DIR}")
endif()

unset(_zeromq_prefix)
