import os, sys
if "HOST_ENV_SECRET" in os.environ:
    print("ESCAPED: saw the host's environment")
sys.exit("clean environment")
