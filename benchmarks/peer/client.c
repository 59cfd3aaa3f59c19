// Receives without Node: the lower bound for the figures of the table. It prints its figures as JSON.
//
// client (PORT | PATH) flood BLOCK WARM-UP BYTES
// client (PORT | PATH) trickle SIZE MEMBERS WARM-UP ROUNDS
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, LINE = 128, BATCH = 1024 };

static char buffer[BUFFER];

struct moment {
  double wall, user, system;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double microseconds(struct timeval time) {
  return time.tv_sec * 1e6 + time.tv_usec;
}

static struct moment now(void) {
  struct timespec time;
  struct rusage usage;
  clock_gettime(CLOCK_MONOTONIC, &time);
  getrusage(RUSAGE_SELF, &usage);
  return (struct moment){time.tv_sec * 1e6 + time.tv_nsec / 1e3, microseconds(usage.ru_utime),
                         microseconds(usage.ru_stime)};
}

static void tell(struct moment from, uint64_t events, uint64_t bytes) {
  struct moment to = now();
  printf("{\"events\":%llu,\"bytes\":%llu,\"wall\":%.3f,\"user\":%.0f,\"system\":%.0f}\n", (unsigned long long)events,
         (unsigned long long)bytes, to.wall - from.wall, to.user - from.user, to.system - from.system);
}

static int dial(const char *place) {
  struct sockaddr_un path = {.sun_family = AF_UNIX};
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int is_path = strchr(place, '/') != NULL;
  if (strlen(place) >= sizeof path.sun_path) fail("path");
  strcpy(path.sun_path, place);
  port.sin_port = htons(atoi(place));
  int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
  int refused = is_path ? connect(fd, (struct sockaddr *)&path, sizeof path)
                        : connect(fd, (struct sockaddr *)&port, sizeof port);
  if (fd < 0 || refused) fail("connect");
  int one = 1;
  if (!is_path) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void ask(int fd, const char *line) {
  if (write(fd, line, strlen(line)) != (ssize_t)strlen(line)) fail("write");
}

static void flood(const char *place, uint64_t block, uint64_t warm_up, uint64_t bytes) {
  char line[LINE];
  uint64_t received = 0, events = 0, first = 0;
  int fd = dial(place);
  struct moment from = {0};
  snprintf(line, sizeof line, "flood %llu %llu\n", (unsigned long long)block, (unsigned long long)(warm_up + bytes));
  ask(fd, line);
  while (received < warm_up + bytes) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) fail("read");
    received += got;
    events++;
    if (first == 0 && received >= warm_up) {
      from = now();
      first = received;
      events = 0;
    }
  }
  tell(from, events, received - first);
}

static void trickle(const char *place, uint64_t size, uint64_t members, uint64_t warm_up, uint64_t rounds) {
  char line[LINE];
  uint64_t half = members / 2, events = 0, bytes = 0, seen[2] = {0};
  uint64_t first = warm_up * members, last = first + rounds * members;
  int loop = epoll_create1(0), control = dial(place);
  struct moment from = {0};
  for (uint64_t i = 0; i < members; i++) {
    int fd = dial(place), group = i % 2;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)group << 32 | fd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    ask(fd, group ? "member 1\n" : "member 0\n");
  }
  snprintf(line, sizeof line, "trickle %llu %llu %llu\n", (unsigned long long)size, (unsigned long long)members,
           (unsigned long long)(warm_up + rounds));
  ask(control, line);
  while (events < last) {
    static struct epoll_event ready[BATCH];
    int count = epoll_wait(loop, ready, BATCH, -1);
    for (int i = 0; i < count; i++) {
      int fd = (int)ready[i].data.u64, group = ready[i].data.u64 >> 32;
      ssize_t got = read(fd, buffer, sizeof buffer);
      if (got <= 0) fail("read");
      bytes += got;
      if (++seen[group] % half == 0) ask(control, group ? "1" : "0");
      if (++events == first) {
        from = now();
        bytes = 0;
      }
    }
  }
  tell(from, events - first, bytes);
}

int main(int argc, char **argv) {
  uint64_t numbers[4] = {0};
  for (int i = 3; i < argc && i < 7; i++) numbers[i - 3] = strtoull(argv[i], NULL, 10);
  if (argc == 6 && strcmp(argv[2], "flood") == 0) flood(argv[1], numbers[0], numbers[1], numbers[2]);
  else if (argc == 7 && strcmp(argv[2], "trickle") == 0) trickle(argv[1], numbers[0], numbers[1], numbers[2], numbers[3]);
  else return fprintf(stderr, "client: unknown command\n"), 2;
  return 0;
}
