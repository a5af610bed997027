// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A program to be probed: for each letter that it reads it calls a function or passes a statically
 * defined probe, and answers with a byte.
 */
#include <unistd.h>

#define PROBED __attribute__((noinline, used))

#define DEFINE(name)						\
	PROBED int name(int number)				\
	{							\
		__asm__ volatile("nop" : "+r"(number));		\
		return number * 3;				\
	}

DEFINE(probed_single)
DEFINE(probed_many_one)
DEFINE(probed_many_two)
DEFINE(probed_listed_one)
DEFINE(probed_listed_two)

/* As compilers of C++ and Rust would write `probed::cpp(int)` and `probed::rust`. */
int called_in_cpp(int number) __asm__("_ZN6probed3cppEi");
int called_in_rust(int number) __asm__("_ZN6probed4rust17h0123456789abcdefE");
DEFINE(called_in_cpp)
DEFINE(called_in_rust)

/* How many watch the probe. */
__attribute__((used, section(".probes"))) unsigned short probed_watched;

/* What sys/sdt.h of systemtap writes for a probe with two arguments. */
#define PASS(name, counter, first, second)						\
	__asm__ volatile("990: nop\n"							\
			 ".pushsection .note.stapsdt, \"\", \"note\"\n"			\
			 ".balign 4\n"							\
			 ".4byte 992f-991f, 994f-993f, 3\n"				\
			 "991: .asciz \"stapsdt\"\n"					\
			 "992: .balign 4\n"						\
			 "993: .8byte 990b\n"						\
			 ".8byte _.stapsdt.base\n"					\
			 ".8byte " counter "\n"						\
			 ".asciz \"probed\"\n"						\
			 ".asciz \"" name "\"\n"					\
			 ".asciz \"8@%0 -4@%1\"\n"					\
			 "994: .balign 4\n"						\
			 ".popsection\n"						\
			 ".ifndef _.stapsdt.base\n"					\
			 ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n" \
			 ".weak _.stapsdt.base\n"					\
			 ".hidden _.stapsdt.base\n"					\
			 "_.stapsdt.base: .space 1\n"					\
			 ".size _.stapsdt.base, 1\n"					\
			 ".popsection\n"						\
			 ".endif\n"							\
			 : : "r"(first), "r"(second))

static PROBED void pass(long first, int second)
{
	PASS("passed", "probed_watched", first, second);
	if (first == 1234)
		PASS("twice", "0", first, second);
	else
		PASS("twice", "0", first + 1, second);
}

int main(void)
{
	char letter;

	while (read(0, &letter, 1) == 1) {
		char answer = 1;

		switch (letter) {
		case 's': answer = probed_single(1); break;
		case 'a': answer = probed_many_one(1); break;
		case 'b': answer = probed_many_two(1); break;
		case 'l': answer = probed_listed_one(1); break;
		case 'm': answer = probed_listed_two(1); break;
		case '+': answer = called_in_cpp(1); break;
		case 'r': answer = called_in_rust(1); break;
		case 'p': pass(1234, -5); break;
		case 'q': pass(77, 6); break;
		case 'w': answer = *(volatile unsigned short *)&probed_watched; break;
		}
		if (write(1, &answer, 1) != 1)
			return 1;
	}
	return 0;
}
