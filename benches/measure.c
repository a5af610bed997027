// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * measure COMMAND…: runs it with its standard output thrown away and prints its wall time in
 * microseconds, from before the process exists until it is reaped, and its peak RSS in KiB.
 * Exits as the command does.
 *
 * A program this small, because the kernel carries the peak of whoever calls execve(2) over into
 * the new program (`exec_mmap` in fs/exec.c): a Python parent alone would count for 14 MiB.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t quiet;
	struct rusage usage;
	long long begin;
	int status, error;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND...\n");
		return 64;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);

	begin = now_us();
	error = posix_spawnp(&pid, argv[1], &quiet, NULL, argv + 1, environ);
	if (error) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(error));
		return 127;
	}
	if (wait4(pid, &status, 0, &usage) < 0) {
		perror("wait4");
		return 127;
	}
	printf("%lld %ld\n", now_us() - begin, usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
