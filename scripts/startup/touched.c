// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * touched COMMAND…: runs it instruction by instruction, its standard output thrown away, and prints
 * where in its executable each was, in the file's own addresses (hexadecimal, 16 wide). Of several
 * threads only the first is followed. Exits as the command does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the executable of a stopped process is mapped, all its segments. */
static void executable(pid_t pid, unsigned long *begin, unsigned long *end)
{
	char path[64], name[PATH_MAX], line[PATH_MAX + 128];
	unsigned long from, to;
	ssize_t length;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	length = readlink(path, name, sizeof name - 1);
	name[length < 0 ? 0 : length] = 0;
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	*begin = *end = 0;
	while (maps && fgets(line, sizeof line, maps)) {
		if (!strstr(line, name) || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		if (!*begin)
			*begin = from;
		*end = to;
	}
	if (maps)
		fclose(maps);
}

int main(int argc, char **argv)
{
	unsigned long begin, end, at;
	unsigned char *seen;
	int status;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: touched COMMAND...\n");
		return 64;
	}
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), 1);
		personality(ADDR_NO_RANDOMIZE);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return 127;
	executable(pid, &begin, &end);
	seen = calloc(end - begin + 1, 1);
	if (!seen)
		return 127;
	while (WIFSTOPPED(status)) {
		at = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
		if (at >= begin && at < end)
			seen[at - begin] = 1;
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) < 0)
			break;
	}
	for (at = 0; at < end - begin; at++)
		if (seen[at])
			printf("%16lx\n", at);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}
