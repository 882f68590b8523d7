# The programs that are put into Lathe: lathe_gpu_kernel(<name> FILE <k> [DEFINES <definitions…>]).
lathe_gpu_kernel(add_one FILE add_one.k)
