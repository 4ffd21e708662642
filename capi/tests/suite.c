/*
 * What a C program sees of libunisend.  It says how each test came out as a test
 * program of Rust does, and so runs wherever these run.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <unisend.h>

#define main pass
#include "../examples/pass.c"
#undef main

static int failures;

#define CHECK(what) do {						\
	if (!(what)) {							\
		printf("line %d: not so: %s\n", __LINE__, #what);	\
		failures++;						\
	}								\
} while (0)

/* Checks that a call is refused with this errno, this kind and this word. */
#define REFUSED(call, number, kind, word) do {				\
	errno = 0;							\
	long answer = (long)(call);					\
	refused(__LINE__, #call, answer, errno, number, kind, word);	\
} while (0)

static void
refused(int line, const char *call, long answer, int found, int expected, enum us_error kind, const char *word)
{
	char text[256];

	us_error_text(text, sizeof(text));
	if (answer != -1 || found != expected || us_last_error() != kind || strstr(text, word) == NULL) {
		printf("line %d: %s is %ld, errno %d, %s: %s\n", line, call, answer, found,
		    us_error_name(us_last_error()), text);
		failures++;
	}
	/* What was refused before the call, the kernel has not seen. */
	CHECK(us_last_errno() == 0);
}

static void
must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

static int fds[2];
static struct us_socket ours, theirs;

/* Makes a pair of sockets, ours and theirs. */
static void
make_pair(int type)
{
	if (type == SOCK_SEQPACKET)
		must(us_seqpacket_pair(fds) == 0, "us_seqpacket_pair");
	else
		must(socketpair(AF_UNIX, type, 0, fds) == 0, "socketpair");
	must(us_probe(&ours, fds[0]) == 0 && us_probe(&theirs, fds[1]) == 0, "us_probe");
}

static void
close_pair(void)
{
	close(fds[0]);
	close(fds[1]);
}

static int
open_descriptors(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static int
is_silent(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	return poll(&readable, 1, 0) == 0;
}

/* A file that has no name, with this text. */
static int
file_of(const char *text)
{
	char path[] = "/tmp/unisend-capi.XXXXXX";
	int fd = mkstemp(path);

	must(fd != -1 && unlink(path) == 0, path);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && lseek(fd, 0, SEEK_SET) == 0, path);
	return fd;
}

static void
the_example_runs(void)
{
	CHECK(pass() == 0);
}

static void
what_cannot_be_an_argument_is_refused(void)
{
	static struct iovec many[1025];
	static int seven[127];
#ifdef __OpenBSD__
	struct us_socket small;
#endif
	struct us_socket none = { 0 }, closed, file, odd;
	struct us_message message = { 0 };
	struct us_received received = { 0 };
	struct us_transfer transfer = { 0 };
	struct iovec one = { "x", 1 }, null = { NULL, 1 }, huge = { "x", (size_t)SSIZE_MAX + 1 };
	struct sockaddr_in address = { .sin_family = AF_INET };
	int64_t before = -1;
	int room;

	make_pair(SOCK_STREAM);
	closed = odd = ours;
	closed.fd = -1;
	odd.kind = 4711;
	must(us_declare(&file, fds[0], US_KIND_FILE) == 0, "us_declare");

	REFUSED(us_declare(NULL, 0, US_KIND_TCP), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_declare(&none, -1, US_KIND_TCP), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");
	REFUSED(us_declare(&none, INT_MIN, US_KIND_TCP), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");
	REFUSED(us_declare(&none, 0, 0), EINVAL, US_ERROR_INVALID_INPUT, "us_kind");
	REFUSED(us_declare(&none, 0, US_KIND_FILE + 1), EINVAL, US_ERROR_INVALID_INPUT, "us_kind");
	CHECK(none.fd == 0 && none.kind == 0);
	REFUSED(us_probe(&none, -1), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");

	REFUSED(us_send(NULL, "x", 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_send((const struct us_socket *)((const char *)&ours + 1), "x", 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "aligned");
	REFUSED(us_send(&none, "x", 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "us_kind");
	REFUSED(us_send(&odd, "x", 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "us_kind");
	REFUSED(us_send(&closed, "x", 1, 0), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");
	REFUSED(us_send(&file, "x", 1, 0), ENOTSOCK, US_ERROR_NOT_SOCKET, "US_KIND_FILE");
	REFUSED(us_send(&ours, NULL, 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_send(&ours, "x", (size_t)SSIZE_MAX + 1, 0), EINVAL, US_ERROR_LENGTH_OVERFLOW, "SSIZE_MAX");
	REFUSED(us_send(&ours, "x", SIZE_MAX, 0), EINVAL, US_ERROR_LENGTH_OVERFLOW, "SSIZE_MAX");
	REFUSED(us_send(&ours, "x", 1, 1U << 31), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "flag");
	REFUSED(us_send(&ours, "x", 1, US_PEEK), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "flag");
	REFUSED(us_send(&ours, "x", 1, US_OOB), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "flag");

	REFUSED(us_sendv(&ours, &one, -1, 0), EINVAL, US_ERROR_INVALID_INPUT, "negative");
	REFUSED(us_sendv(&ours, many, 1025, 0), EMSGSIZE, US_ERROR_TOO_MANY_SLICES, "1024");
	REFUSED(us_sendv(&ours, NULL, 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_sendv(&ours, &null, 1, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_sendv(&ours, &huge, 1, 0), EINVAL, US_ERROR_LENGTH_OVERFLOW, "SSIZE_MAX");

	REFUSED(us_sendto(&ours, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "datagram");
	REFUSED(us_sendto(&ours, "x", 1, 0, (struct sockaddr *)&address, 1), EINVAL, US_ERROR_INVALID_INPUT, "shorter");
	REFUSED(us_sendto(&ours, "x", 1, 0, (struct sockaddr *)&address, sizeof(address) - 1), EINVAL, US_ERROR_INVALID_INPUT, "shorter");
	REFUSED(us_sendto(&ours, NULL, 1, 0, NULL, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");

	REFUSED(us_sendmsg(&ours, NULL, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	message.fds = fds;
	message.nfds = 2;
	REFUSED(us_sendmsg(&ours, &message, 0), EINVAL, US_ERROR_DESCRIPTORS_WITHOUT_DATA, "byte");
	message.iov = &one;
	message.iovcnt = 1;
#ifdef __OpenBSD__
	/* Linux makes room for descriptors elsewhere. */
	small = ours;
	small.send_buffer = 1;
	REFUSED(us_sendmsg(&small, &message, 0), EMSGSIZE, US_ERROR_MESSAGE_TOO_LONG, "SO_SNDBUF");
#endif
	message.nfds = 127;
	message.fds = seven;
	REFUSED(us_sendmsg(&ours, &message, 0), E2BIG, US_ERROR_TOO_MANY_DESCRIPTORS, "126");
	message.fds = &closed.fd;
	message.nfds = 1;
	REFUSED(us_sendmsg(&ours, &message, 0), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");
	message.fds = NULL;
	REFUSED(us_sendmsg(&ours, &message, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	message.nfds = 0;
	message.source = (struct sockaddr *)&address;
	message.sourcelen = sizeof(address);
	REFUSED(us_sendmsg(&ours, &message, 0), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "source");
	address.sin_family = AF_UNIX;
	REFUSED(us_sendmsg(&ours, &message, 0), EAFNOSUPPORT, US_ERROR_ADDRESS_FAMILY, "source");
	message.source = NULL;
	message.traffic_class = (const unsigned char *)"";
	REFUSED(us_sendmsg(&ours, &message, 0), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "traffic class");
	message.name = (struct sockaddr *)&address;
	message.namelen = sizeof(address);
	REFUSED(us_sendallmsg(&ours, &message, 0, NULL), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "us_sendmsg");
	REFUSED(us_sendall(&ours, NULL, 1, 0, NULL), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_sendallv(&ours, many, 1025, 0, NULL), EMSGSIZE, US_ERROR_TOO_MANY_SLICES, "1024");

	REFUSED(us_recvmsg(&ours, NULL, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_recvmsg(&ours, &received, US_MORE), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "receiving");
	REFUSED(us_recvmsg(&ours, &received, US_PEEK), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "flag");
	received.maxfds = 1;
	REFUSED(us_recvmsg(&ours, &received, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	received.fds = &room;
	received.maxfds = SIZE_MAX / 2;
	REFUSED(us_recvmsg(&ours, &received, 0), EINVAL, US_ERROR_LENGTH_OVERFLOW, "SSIZE_MAX");
	received.maxfds = 1;
	received.iovcnt = -1;
	REFUSED(us_recvmsg(&ours, &received, 0), EINVAL, US_ERROR_INVALID_INPUT, "negative");

	REFUSED(us_sendfile(&ours, -1, NULL, 1), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");
	REFUSED(us_sendfile(&ours, fds[0], &before, 1), EINVAL, US_ERROR_INVALID_INPUT, "offset");
	REFUSED(us_transfer(&ours, NULL), EINVAL, US_ERROR_INVALID_INPUT, "null");
	transfer.offset = -2;
	REFUSED(us_transfer(&ours, &transfer), EINVAL, US_ERROR_INVALID_INPUT, "offset");
	transfer.offset = 0;
	transfer.count = -2;
	REFUSED(us_transferall(&ours, &transfer), EINVAL, US_ERROR_INVALID_INPUT, "US_TO_END");
	transfer.count = 0;
	transfer.headercnt = -1;
	REFUSED(us_transferall(&ours, &transfer), EINVAL, US_ERROR_INVALID_INPUT, "negative");
	transfer.headercnt = 0;
	transfer.sent_file = 1;
	REFUSED(us_transferall(&ours, &transfer), EINVAL, US_ERROR_INVALID_INPUT, "resume");

	REFUSED(us_seqpacket_pair(NULL), EINVAL, US_ERROR_INVALID_INPUT, "null");
	REFUSED(us_seqpacket_listen(NULL, 0), EINVAL, US_ERROR_INVALID_INPUT, "null");
	address.sin_family = AF_INET;
	REFUSED(us_seqpacket_connect((struct sockaddr *)&address, sizeof(address)), EAFNOSUPPORT, US_ERROR_ADDRESS_FAMILY, "unix");
	REFUSED(us_seqpacket_accept(-1), EBADF, US_ERROR_BAD_DESCRIPTOR, "negative");

	/* None of all this has sent a byte. */
	CHECK(is_silent(fds[0]) && is_silent(fds[1]));
	close_pair();
}

static void
no_bytes_can_be_null(void)
{
	struct iovec nothing[2] = { { NULL, 0 }, { NULL, 0 } };

	make_pair(SOCK_STREAM);
	CHECK(us_send(&ours, NULL, 0, 0) == 0);
	CHECK(us_sendv(&ours, nothing, 2, 0) == 0);
	CHECK(us_sendv(&ours, NULL, 0, 0) == 0);
	CHECK(us_sendall(&ours, NULL, 0, 0, NULL) == 0);
	close_pair();
}

static void
a_probe_knows_the_kind(void)
{
	struct us_socket probed;
	int file = file_of("");

	make_pair(SOCK_STREAM);
	CHECK(ours.kind == US_KIND_UNIX_STREAM && ours.fd == fds[0] && ours.send_buffer > 0);
	close_pair();
	make_pair(SOCK_DGRAM);
	CHECK(ours.kind == US_KIND_UNIX_DATAGRAM);
	close_pair();
	make_pair(SOCK_SEQPACKET);
	CHECK(ours.kind == US_KIND_UNIX_SEQPACKET);
	CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC && fcntl(fds[1], F_GETFD) == FD_CLOEXEC);
	close_pair();
	errno = 0;
	CHECK(us_probe(&probed, file) == -1 && errno == ENOTSOCK);
	CHECK(us_last_error() == US_ERROR_NOT_SOCKET && us_last_errno() == ENOTSOCK);
	close(file);
}

/* Sends these descriptors with a byte, and receives them with room for so many. */
static ssize_t
pass_descriptors(const int *sent, size_t count, struct us_received *received)
{
	static char byte;
	static struct iovec room;
	struct iovec data = { "d", 1 };
	struct us_message message = { .iov = &data, .iovcnt = 1, .fds = sent, .nfds = count };

	room.iov_base = &byte;
	room.iov_len = 1;
	received->iov = &room;
	received->iovcnt = 1;
	must(us_sendmsg(&ours, &message, 0) == 1, "us_sendmsg");
	return us_recvmsg(&theirs, received, 0);
}

static void
descriptors_are_owned_or_closed(void)
{
	struct us_received received = { 0 };
	struct stat a, b;
	int sent[3], got[3], i, before;

	make_pair(SOCK_STREAM);
	for (i = 0; i < 3; i++)
		sent[i] = file_of("abc");
	before = open_descriptors();

	received.fds = got;
	received.maxfds = 3;
	CHECK(pass_descriptors(sent, 3, &received) == 1 && received.nfds == 3 && received.flags == 0);
	for (i = 0; i < 3; i++) {
		CHECK(fcntl(got[i], F_GETFD) == FD_CLOEXEC);
		CHECK(fstat(sent[i], &a) == 0 && fstat(got[i], &b) == 0 && a.st_ino == b.st_ino);
		close(got[i]);
	}
	CHECK(open_descriptors() == before);

	/* There is room for one: the other two are closed, and it is said. */
	received.maxfds = 1;
	CHECK(pass_descriptors(sent, 3, &received) == 1 && received.nfds == 1 && received.flags == US_FDLOST);
	close(got[0]);
	CHECK(open_descriptors() == before);

	/* There is no room: the kernel closes all, and OpenBSD does not say so. */
	received.maxfds = 0;
	CHECK(pass_descriptors(sent, 3, &received) == 1 && received.nfds == 0);
	CHECK(received.flags == US_FDLOST || received.flags == 0);
	CHECK(open_descriptors() == before);

	close_pair();
	for (i = 0; i < 3; i++)
		close(sent[i]);
}

static void
an_end_and_a_cut_are_told(void)
{
	struct us_received received = { 0 };
	char data[2];
	struct iovec room = { data, 2 };

	received.iov = &room;
	received.iovcnt = 1;
	make_pair(SOCK_DGRAM);
	CHECK(us_send(&ours, "long", 4, 0) == 4);
	CHECK(us_recvmsg(&theirs, &received, 0) == 2 && received.flags == US_TRUNC);
	CHECK(us_send(&ours, "", 0, 0) == 0);
	CHECK(us_recvmsg(&theirs, &received, 0) == 0 && received.flags == 0);
	CHECK(us_recvmsg(&theirs, &received, US_DONTWAIT) == -1 && us_last_error() == US_ERROR_WOULD_BLOCK);
	close_pair();
	make_pair(SOCK_STREAM);
	close(fds[0]);
	CHECK(us_recvmsg(&theirs, &received, 0) == 0 && received.flags == US_EOF);
	close(fds[1]);
}

static void
a_datagram_is_answered(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr_storage sender;
	socklen_t length = sizeof(address);
	struct us_received received = { 0 };
	char data[8];
	struct iovec room = { data, sizeof(data) }, pong = { "pong", 4 };
	struct us_message answer = { 0 };
	struct us_socket server, client;
	int fd[2], i;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 2; i++) {
		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		must(fd[i] != -1 && bind(fd[i], (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	}
	must(getsockname(fd[0], (struct sockaddr *)&address, &length) == 0, "getsockname");
	must(us_probe(&server, fd[0]) == 0 && us_declare(&client, fd[1], US_KIND_UDP_V4) == 0, "us_probe");
	CHECK(server.kind == US_KIND_UDP_V4);

	CHECK(us_sendto(&client, "ping", 4, 0, (struct sockaddr *)&address, length) == 4);
	received.iov = &room;
	received.iovcnt = 1;
	received.name = &sender;
	received.namesize = sizeof(sender);
	CHECK(us_recvmsg(&server, &received, US_PEEK) == 4);
	CHECK(us_recvmsg(&server, &received, 0) == 4 && memcmp(data, "ping", 4) == 0);
	CHECK(received.namelen == sizeof(struct sockaddr_in) && sender.ss_family == AF_INET);
	CHECK(received.nfds == 0 && received.flags == 0 && received.traffic_class == -1 && received.hop_limit == -1);

	/* The answer goes to the sender, from the address that was sent to. */
	answer.iov = &pong;
	answer.iovcnt = 1;
	answer.name = (struct sockaddr *)&sender;
	answer.namelen = received.namelen;
	answer.source = (struct sockaddr *)&address;
	answer.sourcelen = sizeof(address);
	CHECK(us_sendmsg(&server, &answer, 0) == 4);
	CHECK(us_recvmsg(&client, &received, 0) == 4 && memcmp(data, "pong", 4) == 0);

	address.sin_port = 0;
	REFUSED(us_sendto(&client, "x", 1, 0, (struct sockaddr *)&address, length), EADDRNOTAVAIL, US_ERROR_ADDRESS_NOT_AVAILABLE, "port 0");
	errno = 0;
	CHECK(us_send(&client, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
	CHECK(us_last_error() == US_ERROR_DESTINATION_REQUIRED);

	/* The name is cut to its room. */
	CHECK(us_sendto(&client, "", 0, 0, (struct sockaddr *)&sender, sizeof(struct sockaddr_in)) == 0);
	memset(&sender, 0x55, sizeof(sender));
	received.namesize = 4;
	CHECK(us_recvmsg(&server, &received, 0) == 0 && received.namelen == sizeof(struct sockaddr_in));
	CHECK(((unsigned char *)&sender)[4] == 0x55);
	close(fd[0]);
	close(fd[1]);
}

static void
a_full_socket_says_how_much_it_took(void)
{
	static char data[1 << 23];
	struct iovec half[2] = { { data, sizeof(data) / 2 }, { data + sizeof(data) / 2, sizeof(data) / 2 } };
	struct us_message message = { .iov = half, .iovcnt = 2 };
	size_t accepted = 4711, more = 4711, came = 0;
	ssize_t count;
	int i;

	for (i = 0; i < 3; i++) {
		make_pair(SOCK_STREAM);
		errno = 0;
		came = 0;
		if (i == 0)
			CHECK(us_sendall(&ours, data, sizeof(data), US_DONTWAIT, &accepted) == -1);
		else if (i == 1)
			CHECK(us_sendallv(&ours, half, 2, US_DONTWAIT, &accepted) == -1);
		else
			CHECK(us_sendallmsg(&ours, &message, US_DONTWAIT, &accepted) == -1);
		CHECK(errno == EAGAIN && us_last_error() == US_ERROR_WOULD_BLOCK);
		CHECK(us_sendall(&ours, data, 1, US_DONTWAIT, &more) == -1 && more == 0);
		shutdown(fds[0], SHUT_WR);
		while ((count = read(fds[1], data, sizeof(data))) > 0)
			came += count;
		CHECK(accepted > 0 && accepted == came);
		close_pair();
	}
	make_pair(SOCK_STREAM);
	CHECK(us_sendall(&ours, "hello", 5, 0, &accepted) == 0 && accepted == 5);
	REFUSED(us_sendall(&ours, "x", 1, US_OOB, &accepted), EOPNOTSUPP, US_ERROR_UNSUPPORTED, "OUT_OF_BAND");
	CHECK(accepted == 0);
	close_pair();
}

static void
a_file_is_sent(void)
{
	char data[64], buffer[4];
	struct iovec header = { "<", 1 }, trailer = { ">", 1 };
	struct us_transfer transfer = { 0 };
	int64_t offset = 2;
	int file = file_of("0123456789"), i;

	make_pair(SOCK_STREAM);
	CHECK(us_sendfile(&ours, file, &offset, 3) == 3 && offset == 5);
	CHECK(us_sendfile(&ours, file, &offset, 100) == 5 && offset == 10);
	CHECK(us_sendfile(&ours, file, &offset, 100) == 0 && offset == 10);
	CHECK(us_sendfile(&ours, file, NULL, 4) == 4 && lseek(file, 0, SEEK_CUR) == 4);
	CHECK(read(fds[1], data, sizeof(data)) == 12 && memcmp(data, "234567890123", 12) == 0);

	for (i = 0; i < 2; i++) {
		memset(&transfer, 0, sizeof(transfer));
		transfer.fd = file;
		transfer.count = 10;
		transfer.header = &header;
		transfer.headercnt = 1;
		transfer.trailer = &trailer;
		transfer.trailercnt = 1;
		transfer.buffer = i == 0 ? NULL : buffer;
		transfer.buflen = sizeof(buffer);
		while (us_transfer(&ours, &transfer) == 0)
			continue;
		CHECK(transfer.done == 1 && transfer.missing == 0);
		CHECK(transfer.sent_header == 1 && transfer.sent_file == 10 && transfer.sent_trailer == 1);
		CHECK(read(fds[1], data, sizeof(data)) == 12 && memcmp(data, "<0123456789>", 12) == 0);
	}
	/* The file ends too early, and from its own position. */
	transfer.offset = US_POSITION;
	transfer.sent_header = transfer.sent_trailer = 0;
	transfer.sent_file = 0;
	CHECK(us_transferall(&ours, &transfer) == 0 && transfer.done == 1 && transfer.missing == 4);
	CHECK(read(fds[1], data, sizeof(data)) == 7 && memcmp(data, "<456789", 7) == 0);
	transfer.offset = 8;
	transfer.count = US_TO_END;
	transfer.sent_header = 0;
	transfer.sent_file = 0;
	CHECK(us_transferall(&ours, &transfer) == 0 && transfer.done == 1 && transfer.missing == 0);
	CHECK(read(fds[1], data, sizeof(data)) == 4 && memcmp(data, "<89>", 4) == 0);
	close_pair();
	close(file);
}

static void
a_transfer_goes_on_where_it_stopped(void)
{
	static char data[1 << 16];
	struct iovec header = { "header", 6 };
	struct us_transfer transfer = { .count = 1 << 23, .header = &header, .headercnt = 1 };
	unsigned long long came = 0;
	ssize_t count;
	int file = file_of(""), stops = 0;

	make_pair(SOCK_STREAM);
	must(ftruncate(file, 1 << 23) == 0, "ftruncate");
	must(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0, "fcntl");
	transfer.fd = file;
	while (us_transferall(&ours, &transfer) == -1) {
		CHECK(errno == EAGAIN && us_last_error() == US_ERROR_WOULD_BLOCK && transfer.done == 0);
		stops++;
		while (came < transfer.sent_header + transfer.sent_file) {
			must((count = read(fds[1], data, sizeof(data))) > 0, "read");
			came += count;
		}
	}
	CHECK(stops > 0 && transfer.done == 1 && transfer.sent_file == 1 << 23);
	close_pair();
	close(file);
}

static void
no_call_raises_sigpipe(void)
{
	struct iovec one = { "x", 1 };
	struct us_message message = { .iov = &one, .iovcnt = 1 };
	struct us_transfer transfer = { .count = 3 };
	struct us_socket output;
	int64_t offset = 0;
	int file = file_of("abc"), ends[2];

	make_pair(SOCK_STREAM);
	close(fds[1]);
	transfer.fd = file;
	CHECK(us_send(&ours, "x", 1, 0) == -1 && errno == EPIPE && us_last_error() == US_ERROR_DISCONNECTED);
	CHECK(us_sendv(&ours, &one, 1, 0) == -1 && us_sendmsg(&ours, &message, 0) == -1);
	CHECK(us_sendall(&ours, "x", 1, 0, NULL) == -1 && us_sendallmsg(&ours, &message, 0, NULL) == -1);
	CHECK(us_sendfile(&ours, file, &offset, 3) == -1 && us_transferall(&ours, &transfer) == -1);
	CHECK(us_may_have_sent() == 0 && us_last_errno() == EPIPE);
	close(fds[0]);

	/* Nor does a pipe that has no reader. */
	must(pipe(ends) == 0 && us_declare(&output, ends[1], US_KIND_FILE) == 0, "pipe");
	offset = 0;
	CHECK(us_sendfile(&output, file, &offset, 3) == 3);
	close(ends[0]);
	offset = 0;
	CHECK(us_sendfile(&output, file, &offset, 3) == -1 && errno == EPIPE && offset == 0);
	close(ends[1]);
	close(file);
}

static void
records_have_a_listener(void)
{
	char directory[] = "/tmp/unisend-capi.XXXXXX", data[8];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct iovec room = { data, sizeof(data) };
	struct us_received received = { .iov = &room, .iovcnt = 1 };
	struct us_socket client, server;
	int listener, connected, accepted;

	must(mkdtemp(directory) != NULL, directory);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", directory);
	listener = us_seqpacket_listen((struct sockaddr *)&address, sizeof(address));
	CHECK(listener != -1);
	errno = 0;
	CHECK(us_seqpacket_listen((struct sockaddr *)&address, sizeof(address)) == -1 && errno == EADDRINUSE);
	connected = us_seqpacket_connect((struct sockaddr *)&address, sizeof(address));
	accepted = us_seqpacket_accept(listener);
	CHECK(connected != -1 && accepted != -1);
	CHECK(fcntl(accepted, F_GETFD) == FD_CLOEXEC && fcntl(listener, F_GETFD) == FD_CLOEXEC);
	us_declare(&client, connected, US_KIND_UNIX_SEQPACKET);
	us_declare(&server, accepted, US_KIND_UNIX_SEQPACKET);
	CHECK(us_send(&client, "one", 3, US_EOR) == 3 && us_send(&client, "three", 5, US_EOR) == 5);
	CHECK(us_recvmsg(&server, &received, 0) == 3 && us_recvmsg(&server, &received, 0) == 5);
	REFUSED(us_send(&client, NULL, 0, 0), EINVAL, US_ERROR_EMPTY_RECORD, "byte");
	close(listener);
	close(connected);
	close(accepted);
	unlink(address.sun_path);
	rmdir(directory);
}

static void *
another(void *found)
{
	*(enum us_error *)found = us_last_error();
	us_send(NULL, NULL, 0, 0);
	return NULL;
}

static void
an_error_is_that_of_its_thread(void)
{
	enum us_error found = US_ERROR_IO;
	char text[256], cut[8];
	pthread_t thread;
	size_t length;
	int kind, known = 0;

	make_pair(SOCK_STREAM);
	close(fds[1]);
	CHECK(us_send(&ours, "x", 1, 0) == -1);
	must(pthread_create(&thread, NULL, another, &found) == 0 && pthread_join(thread, NULL) == 0, "pthread");
	CHECK(found == US_ERROR_NONE);
	CHECK(us_last_error() == US_ERROR_DISCONNECTED);

	length = us_error_text(text, sizeof(text));
	CHECK(length == strlen(text) && strstr(text, "Disconnected") != NULL);
	CHECK(us_error_text(cut, sizeof(cut)) == length && strlen(cut) == 7 && strncmp(cut, text, 7) == 0);
	CHECK(us_error_text(NULL, 0) == length);

	/* A success leaves it alone, as it does errno. */
	errno = ERANGE;
	CHECK(us_declare(&theirs, 0, US_KIND_TCP) == 0 && errno == ERANGE);
	CHECK(us_last_error() == US_ERROR_DISCONNECTED);

	for (kind = -1; kind < 100; kind++)
		known += strcmp(us_error_name(kind), "unknown") != 0;
	CHECK(known == US_ERROR_IO + 1);
	CHECK(strcmp(us_error_name(US_ERROR_WOULD_BLOCK), "WouldBlock") == 0);
	CHECK(us_error_errno(US_ERROR_UNREACHABLE) == EHOSTUNREACH && us_error_errno(US_ERROR_OTHER) == 0);
	close(fds[0]);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
#define TEST(name) { #name, name }
	TEST(the_example_runs),
	TEST(what_cannot_be_an_argument_is_refused),
	TEST(no_bytes_can_be_null),
	TEST(a_probe_knows_the_kind),
	TEST(descriptors_are_owned_or_closed),
	TEST(an_end_and_a_cut_are_told),
	TEST(a_datagram_is_answered),
	TEST(a_full_socket_says_how_much_it_took),
	TEST(a_file_is_sent),
	TEST(a_transfer_goes_on_where_it_stopped),
	TEST(no_call_raises_sigpipe),
	TEST(records_have_a_listener),
	TEST(an_error_is_that_of_its_thread),
};

int
main(void)
{
	size_t i, count = sizeof(tests) / sizeof(tests[0]);
	int failed = 0, before, descriptors;

	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(120);
	for (i = 0; i < count; i++) {
		before = failures;
		descriptors = open_descriptors();
		tests[i].run();
		/* The example leaves what the end of a program closes. */
		if (tests[i].run != the_example_runs)
			CHECK(open_descriptors() == descriptors);
		printf("test %s ... %s\n", tests[i].name, failures == before ? "ok" : "FAILED");
		failed += failures != before;
	}
	printf("test result: %s. %zu passed; %d failed; 0 ignored; 0 measured; 0 filtered out\n",
	    failed ? "FAILED" : "ok", count - failed, failed);
	return failed != 0;
}
