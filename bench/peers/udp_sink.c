// The peer of the UDP measurements: receives datagrams with recvmmsg, counts them, keeps nothing.
//   udp_sink PORT      prints "ready PORT"; on SIGTERM prints "received COUNT drops COUNT cpu SECONDS"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, BYTES = 2048 };

static volatile sig_atomic_t stopping;
static void stop(int signal) { (void)signal; stopping = 1; }

int main(int argc, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
  inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
  int s = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20, on = 1;
  // The forced size needs root; the ordinary one is capped by net.core.rmem_max.
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  if (bind(s, (struct sockaddr *)&at, sizeof at)) { perror("bind"); return 1; }
  socklen_t length = sizeof at;
  getsockname(s, (struct sockaddr *)&at, &length);
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  printf("ready %d\n", ntohs(at.sin_port));
  fflush(stdout);

  static char bytes[BATCH][BYTES], control[BATCH][64];
  struct iovec vectors[BATCH];
  struct mmsghdr messages[BATCH];
  uint64_t received = 0;
  uint32_t drops = 0;
  while (!stopping) {
    for (int i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){bytes[i], BYTES};
      messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i]};
    }
    int n = recvmmsg(s, messages, BATCH, MSG_WAITFORONE, NULL);
    if (n < 0) { if (errno == EINTR) continue; perror("recvmmsg"); return 1; }
    received += n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&messages[n - 1].msg_hdr); c; c = CMSG_NXTHDR(&messages[n - 1].msg_hdr, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) memcpy(&drops, CMSG_DATA(c), sizeof drops);
  }
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("received %llu drops %u cpu %.3f\n", (unsigned long long)received, drops,
         use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
  return 0;
}
