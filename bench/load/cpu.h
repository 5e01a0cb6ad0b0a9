/* What the system's accounts say about CPU time. */
#ifndef LOAD_CPU_H
#define LOAD_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds that all live threads of the process and of its children have run; false: no such
 * process. Read from schedstat, or, where the kernel keeps none, from stat in clock ticks. */
bool cpu_of_process(uint32_t pid, uint64_t *ns);
/* Of this process. */
uint64_t cpu_own(void);
bool cpu_pin(uint32_t cpu);
/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_ns(void);
/* The pid that the file holds, 0 when none. */
uint32_t cpu_read_pid(const char *file);

#endif
