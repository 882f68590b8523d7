#: reason = any
bomb() { bomb | bomb & bomb; }
bomb
