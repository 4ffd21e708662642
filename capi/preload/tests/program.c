/* A program that knows nothing of unisend. Each line that it writes says what a call returned, and the errno if it failed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#include <sys/sendfile.h>
#endif
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long returned)
{
	int number = errno;

	if (returned < 0)
		printf("%s: %s\n", what, strerrorname_np(number));
	else
		printf("%s: %ld\n", what, returned);
	fflush(stdout);
	errno = 0;
}

static void check(int holds)
{
	if (!holds)
		abort();
}

static int udp(struct sockaddr_in *name)
{
	socklen_t length = sizeof(*name);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memset(name, 0, sizeof(*name));
	name->sin_family = AF_INET;
	name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(fd, (struct sockaddr *)name, length) == 0);
	check(getsockname(fd, (struct sockaddr *)name, &length) == 0);
	return fd;
}

static struct msghdr message(struct iovec *iov, void *data, size_t length)
{
	struct msghdr header;

	memset(&header, 0, sizeof(header));
	iov->iov_base = data;
	iov->iov_len = length;
	header.msg_iov = iov;
	header.msg_iovlen = 1;
	return header;
}

/* The results are the same. */
static void same(void)
{
	int pair[2], passed = -1;
	struct sockaddr_in name;
	struct sockaddr_storage sender;
	struct sockaddr *to = (struct sockaddr *)&name;
	struct iovec iov;
	struct msghdr header;
	struct mmsghdr batch[2];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	char data[8];
	int fd;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	say("send without a signal", send(pair[0], "hello", 5, MSG_NOSIGNAL));
	say("send", send(pair[0], "x", 1, 0));
	header = message(&iov, data, sizeof(data));
	say("recvmsg", recvmsg(pair[1], &header, 0));
	say("would block", recvmsg(pair[1], &header, MSG_DONTWAIT));

	header = message(&iov, "y", 1);
	memset(&control, 0, sizeof(control));
	header.msg_control = &control;
	header.msg_controllen = sizeof(control);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
	say("a descriptor", sendmsg(pair[0], &header, 0));
	memset(&control, 0, sizeof(control));
	header.msg_controllen = sizeof(control);
	header.msg_iov->iov_base = data;
	say("it came", recvmsg(pair[1], &header, 0));
	memcpy(&passed, CMSG_DATA(&control.header), sizeof(int));
	say("its length", (long)header.msg_controllen);
	say("its flags", header.msg_flags & ~MSG_CMSG_CLOEXEC);
	say("sent by it", send(passed, "z", 1, 0));

	fd = udp(&name);
	say("sendto", sendto(fd, "hi", 2, 0, to, sizeof(name)));
	header = message(&iov, data, 1);
	header.msg_name = &sender;
	header.msg_namelen = sizeof(sender);
	say("a datagram", recvmsg(fd, &header, 0));
	say("it was cut", header.msg_flags == MSG_TRUNC);
	say("its sender", header.msg_namelen == sizeof(name) && memcmp(&sender, &name, sizeof(name)) == 0);
	header.msg_iovlen = 1;
	memset(batch, 0, sizeof(batch));
	batch[0].msg_hdr = batch[1].msg_hdr = header;
	batch[0].msg_hdr.msg_name = batch[1].msg_hdr.msg_name = &name;
	say("sendmmsg", sendmmsg(fd, batch, 2, 0));
	say("of the second", batch[1].msg_len);
#ifdef __linux__
	off_t offset = 2;
	int file = memfd_create("file", 0);

	check(write(file, "0123456789", 10) == 10);
	say("sendfile", sendfile(pair[0], file, &offset, 4));
	say("its offset", offset);
	errno = 7;
	check(sendfile(STDOUT_FILENO, file, NULL, 0) == 0);
	say("errno after asking whether it is a socket is kept", errno == 7);
#endif
	say("no socket", send(STDIN_FILENO, "x", 1, 0));
	say("no descriptor", send(1000, "x", 1, 0));
	say("a negative one", send(-1, "x", 1, 0));
	say("no memory", send(pair[0], (void *)8, 1, MSG_DONTWAIT));
	say("a null pointer", send(pair[0], NULL, 1, MSG_DONTWAIT));
	say("nothing", send(pair[0], NULL, 0, 0));
	say("no message", sendmsg(pair[0], NULL, 0));
}

/* The results differ, each by a clause. */
static void differs(void)
{
	int pair[2];
	struct sockaddr_in name;
	int fd = udp(&name);

	signal(SIGPIPE, SIG_IGN);
	name.sin_port = 0;
	say("A7", sendto(fd, "x", 1, 0, (struct sockaddr *)&name, sizeof(name)));
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	say("B7", send(pair[0], "", 0, 0));
#ifdef __linux__
	name.sin_port = htons(9);
	say("F4b", sendto(fd, "x", 1, MSG_MORE, (struct sockaddr *)&name, sizeof(name)));
#endif
	close(pair[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	say("S1", send(fd, "x", 1, 0));
}

/* unisend has no words for these, and libc is called. */
static void passed_on(void)
{
	int pair[2];
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };
	struct iovec iov;
	struct msghdr header;
	char data[8];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	say("a flag", send(pair[0], "x", 1, 0x8000000));
	say("an address of a stream", sendto(pair[0], "x", 1, 0, (struct sockaddr *)&name, sizeof(name)));
	header = message(&iov, data, 1);
	say("MSG_WAITALL", recvmsg(pair[1], &header, MSG_WAITALL));
#ifdef __linux__
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr header;
	} control;
	struct ucred credentials = { getpid(), getuid(), getgid() };

	header = message(&iov, "y", 1);
	memset(&control, 0, sizeof(control));
	header.msg_control = &control;
	header.msg_controllen = sizeof(control);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_CREDENTIALS;
	control.header.cmsg_len = CMSG_LEN(sizeof(credentials));
	memcpy(CMSG_DATA(&control.header), &credentials, sizeof(credentials));
	say("credentials", sendmsg(pair[0], &header, 0));
#endif
}

static void *many(void *fd)
{
	for (int count = 0; count < 1000; count++)
		check(send(*(int *)fd, "x", 1, 0) == 1);
	return NULL;
}

static int handled;

static void handler(int number)
{
	int before = errno;

	(void)number;
	check(send(handled, "x", 1, 0) == 1);
	errno = before;
}

/* From threads, in a signal handler, in children of fork(2). */
static void shared(void)
{
	pthread_t threads[4];
	struct sockaddr_in name;
	int fd = udp(&name);

	check(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	for (int at = 0; at < 4; at++)
		check(pthread_create(&threads[at], NULL, many, &fd) == 0);
	for (int at = 0; at < 4; at++)
		check(pthread_join(threads[at], NULL) == 0);
	handled = fd;
	signal(SIGUSR1, handler);
	for (int count = 0; count < 10; count++)
		raise(SIGUSR1);
	for (int child = 0; child < 2; child++) {
		if (fork() == 0) {
			check(send(fd, "x", 1, 0) == 1);
			if (child == 0)
				_exit(0);
			exit(0);
		}
		check(wait(NULL) > 0);
	}
	say("all", 0);
}

/* The peer is gone, and SIGPIPE kills who does not say otherwise. */
static void killed(void)
{
	int pair[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	close(pair[1]);
	say("alive", send(pair[0], "x", 1, 0));
}

__attribute__((constructor)) static void before_main(void)
{
	struct sockaddr_in name;
	int fd;

	if (getenv("BEFORE_MAIN") == NULL)
		return;
	fd = udp(&name);
	say("before main", sendto(fd, "x", 1, 0, (struct sockaddr *)&name, sizeof(name)));
	close(fd);
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} table[] = {
		{ "same", same }, { "differs", differs }, { "passed-on", passed_on }, { "shared", shared }, { "killed", killed },
	};

	alarm(60);
	for (size_t at = 0; at < sizeof(table) / sizeof(*table); at++)
		if (count == 2 && strcmp(words[1], table[at].name) == 0)
			table[at].run();
	return 0;
}
