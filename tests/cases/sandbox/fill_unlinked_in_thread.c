//: contained = wrote more than
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int hold(void* none) {
  (void)none;
  char* block = calloc(1, 1 << 20);
  memset(block, 1, 1 << 20);
  for (int i = 0; i < 12; ++i) {
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    unlink("f");
    for (int k = 0; k < 30; ++k)
      if (write(fd, block, 1 << 20) < 0) return 1;
    usleep(100000);
  }
  sleep(10);
  puts("ESCAPED: files of a thread that has descriptors of its own");
  return 0;
}
int main(void) {
  char* stack = malloc(1 << 20);
  clone(hold, stack + (1 << 20), CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS, NULL);
  sleep(30);
  return 3;
}
