/*
 * unisend.h: sending on sockets that means the same on Linux and OpenBSD.
 *
 * A socket is declared once, as a struct us_socket.  Each send is then one
 * system call.  It never raises SIGPIPE, and if it fails, errno and
 * us_last_error() mean the same on both systems.  Flags are US_..., never MSG_...
 *
 *	struct us_socket peer;
 *
 *	if (us_declare(&peer, fd, US_KIND_TCP) == -1)
 *		err(1, "us_declare");
 *	if (us_send(&peer, "hello", 5, US_DONTWAIT) == -1) {
 *		if (us_last_error() == US_ERROR_WOULD_BLOCK)
 *			...
 *
 * A call that fails returns -1, sets errno, and keeps the kind and the text of the
 * error for the thread: us_last_error(), us_error_text().  A call that is refused,
 * because an argument is null, negative, unknown or too large, has no effect.
 * Memory that a pointer does not own, and a descriptor that is closed, cannot be
 * detected.
 *
 * A call that succeeds allocates nothing and takes no lock.  All functions can be
 * called by several threads at once.
 *
 * This file is made from the Rust source.  See us_send(3).
 */

#ifndef UNISEND_H
#define UNISEND_H

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <stddef.h>
#include <stdint.h>

/* Sending and receiving: the urgent byte of TCP (MSG_OOB). */
#define US_OOB 1

/*
 * Sending: only to directly attached networks; UDP over IPv4 on Linux
 * (MSG_DONTROUTE).
 */
#define US_DONTROUTE (1 << 1)

/* Sending and receiving: do not wait, whatever O_NONBLOCK says (MSG_DONTWAIT). */
#define US_DONTWAIT (1 << 2)

/*
 * Sending: this message ends a record, on a seqpacket socket.  Set in
 * us_received if the kernel reports such an end, which Linux never does (MSG_EOR).
 */
#define US_EOR (1 << 3)

/* Sending on a stream: a hint that more follows at once (MSG_MORE). */
#define US_MORE (1 << 4)

/* Sending: a hint that the peer has answered recently (MSG_CONFIRM). */
#define US_CONFIRM (1 << 5)

/* Receiving: leave the data where it is; TCP and UDP (MSG_PEEK). */
#define US_PEEK (1 << 6)

/*
 * Sending: an IPv4-mapped IPv6 address is meant, and this is a dual-stack socket
 * of Linux.  Without it such an address is refused, because OpenBSD has none.
 */
#define US_V4MAPPED (1 << 7)

/*
 * In us_received: the datagram or record was longer than the buffers, and the
 * rest of it is lost, unless it was peeked at.
 */
#define US_TRUNC (1 << 8)

/*
 * In us_received: descriptors came that are not in fds, and were closed.  On
 * Linux, without room for any, it can also be another control message.
 */
#define US_FDLOST (1 << 9)

/*
 * In us_received: the end of the stream or connection.  It is not set if the
 * buffers have no room for a byte.
 */
#define US_EOF (1 << 10)

/* In us_transfer.offset: begin at the file position, which moves. */
#define US_POSITION (-1)

/* In us_transfer.count: send the file to its end. */
#define US_TO_END (-1)

/*
 * The kind of an error, by what a caller can do about it.  It means the same on
 * both systems, and says more than errno: several kinds share one.
 *
 * The numbers never change.  A later version can add kinds.
 */
enum us_error {
	/* No call of this thread has failed. */
	US_ERROR_NONE = 0,
	/* An errno that has no kind: see us_last_errno(). */
	US_ERROR_OTHER = 1,
	/* EAGAIN.  There is no room now, or no data.  Wait with poll(2), and call again. */
	US_ERROR_WOULD_BLOCK = 2,
	/* EAGAIN.  The TCP connection is still being made.  Wait as above. */
	US_ERROR_CONNECTING = 3,
	/* EINTR.  A signal came before anything was accepted.  Call again. */
	US_ERROR_INTERRUPTED = 4,
	/* ENOTCONN.  The socket was never connected, or is listening. */
	US_ERROR_NOT_CONNECTED = 5,
	/* EPIPE.  The peer is gone, or this side has shut sending down. */
	US_ERROR_DISCONNECTED = 6,
	/* ECONNRESET.  The peer is gone, and had not read all data. */
	US_ERROR_RESET = 7,
	/* ECONNREFUSED.  Nobody listens there. */
	US_ERROR_REFUSED = 8,
	/* ETIMEDOUT.  The peer did not answer, and the connection was given up. */
	US_ERROR_TIMED_OUT = 9,
	/* ECONNABORTED.  This host ended the connection. */
	US_ERROR_ABORTED = 10,
	/* EDESTADDRREQ.  A datagram socket has no peer, and no address was given. */
	US_ERROR_DESTINATION_REQUIRED = 11,
	/* EISCONN.  An address was given on a socket that has a peer (OpenBSD). */
	US_ERROR_ALREADY_CONNECTED = 12,
	/* EMSGSIZE.  A message is longer than the limit of the socket. */
	US_ERROR_MESSAGE_TOO_LONG = 13,
	/* EMSGSIZE.  A message has more than 1024 iovecs. */
	US_ERROR_TOO_MANY_SLICES = 14,
	/* EINVAL.  A call has more than SSIZE_MAX bytes. */
	US_ERROR_LENGTH_OVERFLOW = 15,
	/* EINVAL.  A record has no bytes: its receiver would not see it. */
	US_ERROR_EMPTY_RECORD = 16,
	/* E2BIG.  A message has more than 126 descriptors. */
	US_ERROR_TOO_MANY_DESCRIPTORS = 17,
	/* EINVAL.  A message on a stream has descriptors and no byte to carry them. */
	US_ERROR_DESCRIPTORS_WITHOUT_DATA = 18,
	/* EMFILE.  Too many descriptors were sent and not yet received.  Retry later. */
	US_ERROR_DESCRIPTORS_IN_FLIGHT = 19,
	/*
	 * EMSGSIZE.  The descriptors of a record could not be received, and the record
	 * is lost with them (OpenBSD).
	 */
	US_ERROR_DESCRIPTORS_LOST = 20,
	/* EMFILE.  There is no room for another descriptor.  Close some, and retry. */
	US_ERROR_TOO_MANY_OPEN_FILES = 21,
	/* ENOBUFS.  The kernel has no network buffers.  Retry later. */
	US_ERROR_NO_BUFFER_SPACE = 22,
	/* ENOMEM.  The kernel has no memory. */
	US_ERROR_OUT_OF_MEMORY = 23,
	/* EHOSTUNREACH.  There is no way to the host. */
	US_ERROR_UNREACHABLE = 24,
	/* ENETDOWN.  The network interface is down. */
	US_ERROR_NETWORK_DOWN = 25,
	/*
	 * EADDRNOTAVAIL.  Nothing can be sent to the address: port 0, the unspecified
	 * address, or an IPv4-mapped address without US_V4MAPPED.
	 */
	US_ERROR_ADDRESS_NOT_AVAILABLE = 26,
	/* EADDRINUSE.  The path or name exists. */
	US_ERROR_ADDRESS_IN_USE = 27,
	/* EAFNOSUPPORT.  The address is of another family than the socket. */
	US_ERROR_ADDRESS_FAMILY = 28,
	/* EACCES.  Permissions, a packet filter or the receiver forbid it. */
	US_ERROR_PERMISSION_DENIED = 29,
	/* ENOENT.  The path does not exist. */
	US_ERROR_NOT_FOUND = 30,
	/* ELOOP.  The path cannot be followed, or is too long. */
	US_ERROR_BAD_PATH = 31,
	/* EPROTOTYPE.  A socket of another type has the path. */
	US_ERROR_WRONG_SOCKET_TYPE = 32,
	/* ENOTSOCK.  The descriptor is not a socket. */
	US_ERROR_NOT_SOCKET = 33,
	/* EBADF.  The descriptor is not open, or not for this use. */
	US_ERROR_BAD_DESCRIPTOR = 34,
	/* EOPNOTSUPP.  This socket or this system does not support a flag or the call. */
	US_ERROR_UNSUPPORTED = 35,
	/* EINVAL.  An argument cannot be used. */
	US_ERROR_INVALID_INPUT = 36,
	/* EIO.  An input or output error below the socket. */
	US_ERROR_IO = 37,
};

/*
 * The kind of a descriptor.  It decides which flags are honoured, which
 * addresses can be sent to, and what an errno means.
 *
 * No kind is 0, so that a us_socket that was never filled in is refused.
 */
enum us_kind {
	/* TCP, over IPv4 or IPv6. */
	US_KIND_TCP = 1,
	/* UDP over IPv4. */
	US_KIND_UDP_V4 = 2,
	/* UDP over IPv6. */
	US_KIND_UDP_V6 = 3,
	/* A unix stream socket. */
	US_KIND_UNIX_STREAM = 4,
	/* A unix datagram socket. */
	US_KIND_UNIX_DATAGRAM = 5,
	/* A unix socket of sequenced packets. */
	US_KIND_UNIX_SEQPACKET = 6,
	/* A stream of another family or protocol: each errno has its plain meaning. */
	US_KIND_OTHER_STREAM = 7,
	/* Any other socket: each errno has its plain meaning. */
	US_KIND_OTHER = 8,
	/*
	 * Not a socket, but a pipe, a regular file or a device.  Only us_sendfile()
	 * and us_transfer() take it.
	 */
	US_KIND_FILE = 9,
};

/*
 * A descriptor and what is known about it.  Fill it in once, with us_probe() or
 * us_declare(), and use it for every call.  It owns nothing: copy it freely, and
 * close the descriptor yourself.
 */
struct us_socket {
	/* The descriptor. */
	int fd;
	/* One of enum us_kind. */
	int kind;
	/*
	 * SO_SNDBUF in bytes, or 0 if it is not known.  With it, a message that never
	 * fits beside its descriptors is refused.
	 */
	size_t send_buffer;
};

/*
 * A message, in the form of a struct msghdr.  Clear it with memset(3) or = { 0 },
 * and set what the message has; what is NULL or 0 is left out.
 */
struct us_message {
	/* Where a datagram is sent to; NULL for the peer. */
	const struct sockaddr *name;
	/* The size of the address. */
	socklen_t namelen;
	/* The buffers. */
	const struct iovec *iov;
	/* How many there are, at most 1024. */
	int iovcnt;
	/*
	 * Descriptors that go with the first byte, on a unix socket.  They stay open
	 * here.
	 */
	const int *fds;
	/* How many there are, at most 126. */
	size_t nfds;
	/*
	 * The address of this host that a UDP datagram is sent from; NULL for the
	 * kernel's choice.  Its port is not used.
	 */
	const struct sockaddr *source;
	/* The size of the source. */
	socklen_t sourcelen;
	/* The traffic class of a UDP datagram; NULL for that of the socket. */
	const unsigned char *traffic_class;
};

/*
 * What us_recvmsg() fills, and what it says.  Clear it with memset(3) or = { 0 },
 * and set the first six.  The call leaves them alone, and sets the others.
 */
struct us_received {
	/* The buffers.  They must not overlap. */
	const struct iovec *iov;
	/* How many there are, at most 1024. */
	int iovcnt;
	/* Room for descriptors, or NULL. */
	int *fds;
	/* For how many.  With room for 253, none is lost for want of it. */
	size_t maxfds;
	/*
	 * Room for the address of the sender, such as a struct sockaddr_storage, or
	 * NULL.
	 */
	void *name;
	/* For how many bytes. */
	socklen_t namesize;
	/* How many descriptors came.  They are yours, and close-on-exec. */
	size_t nfds;
	/*
	 * The size of the address, which was cut if this is more than namesize; 0 if
	 * the sender has none, and on a stream.
	 */
	socklen_t namelen;
	/* US_TRUNC, US_FDLOST, US_EOF, US_EOR. */
	unsigned int flags;
	/* The traffic class of a UDP datagram if the socket reports it, or -1. */
	int traffic_class;
	/* Its hop limit if the socket reports it, or -1. */
	int hop_limit;
};

/*
 * A range of a file, with data before and after it: the reply of a web server.
 * Clear it with memset(3) or = { 0 }, and set what comes before done.
 *
 * The calls count in it what was accepted.  After EAGAIN, wait until the output
 * is writable, and call again with the same us_transfer: it goes on where it
 * stopped.  Change nothing else in it, nor the data.
 */
struct us_transfer {
	/* The file. */
	int fd;
	/* Where to begin in it, in bytes; or US_POSITION. */
	int64_t offset;
	/* How many bytes of it to send; or US_TO_END. */
	int64_t count;
	/* The buffers before the file. */
	const struct iovec *header;
	/* How many there are, at most 1024. */
	int headercnt;
	/* The buffers after the file. */
	const struct iovec *trailer;
	/* How many there are, at most 1024. */
	int trailercnt;
	/* Descriptors that go with the first byte of the header. */
	const int *fds;
	/* How many there are, at most 126. */
	size_t nfds;
	/*
	 * A buffer to copy the file through, or NULL.  With it, the file is sent as it
	 * was when it was read.  Without it, Linux sends the pages of the file, and a
	 * later change can reach the peer.
	 */
	void *buffer;
	/* The size of the buffer.  65536 are enough. */
	size_t buflen;
	/* 1 if nothing is left to do, otherwise 0. */
	int done;
	/* How many bytes of the header were accepted. */
	size_t sent_header;
	/* How many bytes of the file were accepted. */
	uint64_t sent_file;
	/* How many bytes of the trailer were accepted. */
	size_t sent_trailer;
	/*
	 * If it is done: how many bytes fewer than count the file had.  If any, the
	 * trailer was not sent, and what the header promised is not kept.
	 */
	uint64_t missing;
};

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Ask the kernel for the kind of a socket and the size of its send buffer.
 *
 * Four getsockopt(2).  On OpenBSD, call it before pledge(2), or keep "inet" or
 * "unix"; or declare the socket instead.
 *
 * Returns 0, or -1 and errno: ENOTSOCK if the descriptor is not a socket.
 */
int us_probe(struct us_socket *socket, int fd);

/*
 * Declare the kind of a descriptor, which is one of enum us_kind.
 *
 * No system call.  A wrong kind leads to wrong errors, and to nothing worse.
 *
 * Returns 0, or -1 and errno: EBADF if the descriptor is negative, EINVAL if the
 * kind is unknown.
 */
int us_declare(struct us_socket *socket,
	       int fd,
	       int kind);

/*
 * Send bytes to the peer: send(2).
 *
 * Returns how many bytes were accepted, which can be fewer on a stream, or -1 and
 * errno.
 */
ssize_t us_send(const struct us_socket *socket,
		const void *data,
		size_t length,
		unsigned int flags);

/*
 * Send buffers to the peer as one message: writev(2), with flags.
 *
 * Returns as us_send().
 */
ssize_t us_sendv(const struct us_socket *socket,
		 const struct iovec *iov,
		 int iovcnt,
		 unsigned int flags);

/*
 * Send bytes to an address as one datagram: sendto(2).  Without an address (NULL)
 * this is us_send().
 *
 * Returns as us_send().
 */
ssize_t us_sendto(const struct us_socket *socket,
		  const void *data,
		  size_t length,
		  unsigned int flags,
		  const struct sockaddr *to,
		  socklen_t tolen);

/*
 * Send a message: sendmsg(2).  The buffers, an address, descriptors, a source and
 * a traffic class are sent in one call.
 *
 * Returns as us_send().  After a short count the descriptors have gone: send the
 * rest without them, or call us_sendallmsg().
 */
ssize_t us_sendmsg(const struct us_socket *socket,
		   const struct us_message *message,
		   unsigned int flags);

/*
 * Send all bytes.  After a short count and after a signal, the rest is sent; on a
 * socket that does not wait, it stops with EAGAIN where the socket is full.
 *
 * accepted, which may be NULL, is set to how many bytes were accepted, whether the
 * call succeeds or fails.
 *
 * Returns 0, or -1 and errno.
 */
int us_sendall(const struct us_socket *socket,
	       const void *data,
	       size_t length,
	       unsigned int flags,
	       size_t *accepted);

/* Send all bytes of some buffers: as us_sendall(). */
int us_sendallv(const struct us_socket *socket,
		const struct iovec *iov,
		int iovcnt,
		unsigned int flags,
		size_t *accepted);

/*
 * Send all of a message to the peer, and its descriptors once: as us_sendall().
 * The message has no address and no source.
 *
 * If some bytes were accepted, the descriptors have gone: send the rest without
 * them.
 */
int us_sendallmsg(const struct us_socket *socket,
		  const struct us_message *message,
		  unsigned int flags,
		  size_t *accepted);

/*
 * Receive data, and the descriptors that come with it: recvmsg(2).
 *
 * If there is no room for descriptors and none for an address, the kernel is told
 * so, and closes descriptors itself.  Then OpenBSD does not need the promise
 * "recvfd", and does not report that some came.
 *
 * Returns how many bytes came, or -1 and errno.  0 is the end if US_EOF is set.
 */
ssize_t us_recvmsg(const struct us_socket *socket,
		   struct us_received *received,
		   unsigned int flags);

/*
 * Send a range of a file: sendfile(2) of Linux, on both systems.
 *
 * offset is advanced by what was accepted, also if the call fails; NULL stands for
 * the file position.  The output is a stream socket, or of US_KIND_FILE.
 *
 * Returns how many bytes were accepted, which can be fewer; 0 at the end of the
 * file; or -1 and errno.
 */
ssize_t us_sendfile(const struct us_socket *to,
		    int fd,
		    int64_t *offset,
		    size_t count);

/*
 * Send as much of a transfer as one pass through it can.
 *
 * Returns 1 if nothing is left, 0 if something is, or -1 and errno.  What was
 * accepted is in the us_transfer.
 */
int us_transfer(const struct us_socket *to, struct us_transfer *transfer);

/*
 * Send all that is left of a transfer.  After a short count and after a signal,
 * the rest is sent; on an output that does not wait, it stops with EAGAIN where
 * the output is full.
 *
 * Returns 0, or -1 and errno.  What was accepted is in the us_transfer.
 */
int us_transferall(const struct us_socket *to, struct us_transfer *transfer);

/*
 * Make two unix sockets of sequenced packets that are connected to each other:
 * socketpair(2).  They are close-on-exec, as all descriptors that this library
 * makes.  Declare them as US_KIND_UNIX_SEQPACKET.
 *
 * Returns 0, or -1 and errno.
 */
int us_seqpacket_pair(int *fds);

/*
 * Make a socket that listens at a unix address.  A path that exists is not
 * replaced: remove it first.
 *
 * Returns the descriptor, or -1 and errno.
 */
int us_seqpacket_listen(const struct sockaddr *name, socklen_t namelen);

/*
 * Accept a connection: accept(2).
 *
 * Returns the descriptor, or -1 and errno.
 */
int us_seqpacket_accept(int listener);

/*
 * Connect to a listener: connect(2).  It does not wait: if the queue of the
 * listener is full, it fails with ECONNREFUSED.
 *
 * Returns the descriptor, or -1 and errno.
 */
int us_seqpacket_connect(const struct sockaddr *name, socklen_t namelen);

/*
 * Return the kind of the last error of this thread.
 *
 * As errno, it is set by a call that fails, and left alone by one that succeeds.
 */
enum us_error us_last_error(void);

/*
 * Return the errno that the kernel itself gave for the last error of this
 * thread, for logs: it differs from system to system.
 *
 * 0 if the call was refused before the kernel saw it.
 */
int us_last_errno(void);

/*
 * Return 1 if the call of the last error of this thread may have sent a part of
 * its data, otherwise 0.
 *
 * After a hard error in the middle of a stream, OpenBSD does not say how much it
 * accepted.  Never send that data again on the same connection.
 */
int us_may_have_sent(void);

/*
 * Write what went wrong in the last error of this thread, and what would be
 * right if the call was refused, as one line without a newline.
 *
 * As snprintf(3), it writes at most size bytes with the NUL, and returns the
 * length that the whole text has.  100 bytes are enough for most, 256 for all.
 */
size_t us_error_text(char *text, size_t size);

/*
 * Return the name of a kind, such as "WouldBlock".  It is a constant.
 *
 * "unknown" if the number is that of no kind.
 */
const char *us_error_name(int error);

/* Return the errno of a kind, or 0 if it has none. */
int us_error_errno(int error);

#ifdef __cplusplus
}
#endif

#endif  /* UNISEND_H */
