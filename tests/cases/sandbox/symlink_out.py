import os
os.symlink(os.environ["HOST_FILE"], "link")
os.symlink(os.path.dirname(os.environ["HOST_FILE"]), "linked_directory")
open("link", "w").write("owned")
print("ESCAPED: wrote through a symbolic link")
