/*
 * Passes a descriptor and a file to a peer, and sees the peer go away.
 * cc $(pkg-config --cflags unisend) pass.c $(pkg-config --libs unisend)
 */
#include <sys/socket.h>

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <unisend.h>

int
main(void)
{
	struct us_socket ours, theirs;
	struct us_message message = { 0 };
	struct us_received received = { 0 };
	struct us_transfer page = { 0 };
	struct iovec hello = { "hello", 5 }, header = { "Length: 12\n\n", 12 };
	char data[64], why[256];
	struct iovec room = { data, sizeof(data) };
	int pair[2], pipes[2], passed, file;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 || pipe(pipes) == -1)
		err(1, "socketpair");
	if (us_declare(&ours, pair[0], US_KIND_UNIX_STREAM) == -1 ||
	    us_probe(&theirs, pair[1]) == -1)	/* asks the kernel instead */
		err(1, "us_probe");

	/* Send the end of a pipe, with a greeting. */
	message.iov = &hello;
	message.iovcnt = 1;
	message.fds = &pipes[1];
	message.nfds = 1;
	if (us_sendallmsg(&ours, &message, 0, NULL) == -1)
		err(1, "us_sendallmsg");

	/* Receive both.  The descriptor is another one for the same pipe. */
	received.iov = &room;
	received.iovcnt = 1;
	received.fds = &passed;
	received.maxfds = 1;
	if (us_recvmsg(&theirs, &received, 0) != 5 || received.nfds != 1)
		errx(1, "no descriptor came");
	if (write(passed, "through the pipe", 16) != 16 || read(pipes[0], data, 16) != 16)
		err(1, "pipe");
	printf("%.16s\n", data);

	/* Send a header and the first 12 bytes of a file. */
	if ((file = open("/etc/passwd", O_RDONLY)) == -1)
		err(1, "/etc/passwd");
	page.fd = file;
	page.count = 12;
	page.header = &header;
	page.headercnt = 1;
	if (us_transferall(&ours, &page) == -1)
		err(1, "us_transferall");
	printf("%zu and %llu bytes were accepted\n", page.sent_header, (unsigned long long)page.sent_file);

	/* The peer goes away.  No SIGPIPE is raised. */
	close(pair[1]);
	if (us_send(&ours, "anyone?", 7, US_DONTWAIT) != -1)
		errx(1, "the peer is gone, and data was accepted");
	us_error_text(why, sizeof(why));
	warnx("%s (%s)", us_error_name(us_last_error()), why);
	return us_last_error() == US_ERROR_RESET || us_last_error() == US_ERROR_DISCONNECTED ? 0 : 1;
}
