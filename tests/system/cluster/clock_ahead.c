/* Preloaded into a process, has it see another time of day: CLOCK_AHEAD seconds more.
 *
 * What measures durations goes as ever. Debian's libfaketime can't do that for Python 3.11: with FAKETIME_DONT_FAKE_MONOTONIC
 * its time.sleep fails, and without it waiting for a lock never ends.
 */
#define _GNU_SOURCE
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t ahead;

__attribute__((constructor)) static void read_ahead(void)
{
    const char *told = getenv("CLOCK_AHEAD");
    ahead = told ? atol(told) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead;
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int result = syscall(SYS_gettimeofday, now, zone);
    if (result == 0)
        now->tv_sec += ahead;
    return result;
}

time_t time(time_t *kept)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept)
        *kept = now.tv_sec;
    return now.tv_sec;
}

/* The deadline was reckoned from a time that this file has told. */
int sem_timedwait(sem_t *semaphore, const struct timespec *deadline)
{
    struct timespec real = {deadline->tv_sec - ahead, deadline->tv_nsec};
    return sem_clockwait(semaphore, CLOCK_REALTIME, &real);
}
