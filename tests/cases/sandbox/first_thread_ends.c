//: contained = memory over
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void* hold(void* none) {
  sleep(1);
  for (int i = 0; i < 1024; ++i) memset(malloc(1 << 20), 1, 1 << 20);
  sleep(10);
  puts("ESCAPED: memory of a process whose first thread has ended");
  return none;
}
int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, hold, NULL);
  pthread_exit(NULL);
}
