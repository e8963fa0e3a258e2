// Sends text readings over UDP at a rate, with sendmmsg, cheaply enough that the sender is not what is measured.
//   udp_load PORT RATE SECONDS DEVICES      RATE 0 is as fast as it can
// Reading number i is of device (i * 7919) mod DEVICES and carries the value 1000000 + i / DEVICES, so that the newest value of
// every device is known from the count alone. Prints "sent COUNT seconds SECONDS cpu SECONDS".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, BYTES = 32 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int digits(char *to, uint64_t n, int width) {
  for (int i = width - 1; i >= 0; i--, n /= 10) to[i] = '0' + n % 10;
  return width;
}

int main(int argc, char **argv) {
  if (argc != 5) { fprintf(stderr, "usage: udp_load PORT RATE SECONDS DEVICES\n"); return 2; }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  double rate = atof(argv[2]), seconds = atof(argv[3]);
  uint64_t devices = strtoull(argv[4], NULL, 10), sent = 0;
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(s, (struct sockaddr *)&to, sizeof to)) { perror("connect"); return 1; }

  static char bytes[BATCH][BYTES];
  struct iovec vectors[BATCH];
  struct mmsghdr messages[BATCH] = {0};
  for (int i = 0; i < BATCH; i++) {
    vectors[i].iov_base = bytes[i];
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  double start = now(), elapsed;
  while ((elapsed = now() - start) < seconds) {
    uint64_t due = rate > 0 ? (uint64_t)(elapsed * rate) : sent + BATCH;
    if (due < sent + BATCH) {
      double wait = (sent + BATCH - due) / rate;
      struct timespec nap = {0, (long)(wait * 1e9)};
      nanosleep(&nap, NULL);
      continue;
    }
    for (int i = 0; i < BATCH; i++) {
      uint64_t n = sent + i;
      char *p = bytes[i];
      *p++ = 'm';
      p += digits(p, n * 7919 % devices, 7);
      *p++ = ':';
      *p++ = '1';
      p += digits(p, n / devices, 6);
      vectors[i].iov_len = p - bytes[i];
    }
    for (int done = 0; done < BATCH;) {
      int n = sendmmsg(s, messages + done, BATCH - done, 0);
      if (n < 0 && errno != ECONNREFUSED && errno != EINTR) { perror("sendmmsg"); return 1; }
      if (n > 0) done += n;
    }
    sent += BATCH;
  }
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("sent %llu seconds %.3f cpu %.3f\n", (unsigned long long)sent, now() - start,
         use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
  return 0;
}
