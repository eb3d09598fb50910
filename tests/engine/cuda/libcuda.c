/* NVIDIA's driver library, as far as `engine.cuda.driver` needs it, for machines without a GPU.
 *
 * Device memory is the host's, zeros at first. Kernels are not executed: each node of a graph and each launch of a graph
 * is a line of the file named by LIBCUDA_LOG, so that a test can compare them with what was asked for. Functions that
 * are not here do nothing and succeed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef struct {
    void *function;
    unsigned grid[3], block[3], shared;
    void **arguments, **extra;
    void *kernel, *context; /* a kernel of a library, in place of a function */
} Launch;

static uintptr_t next_handle = 0x1000;
static char *names[4096]; /* of kernels, by (handle - first) / 16 */
static void *context;
static const char *SUCCESS = "CUDA_SUCCESS";

static void *handle(void) { return (void *)(next_handle += 16); }

static FILE *log_file(void) {
    static FILE *file;
    if (!file) file = fopen(getenv("LIBCUDA_LOG"), "w");
    return file;
}

static Result nothing(void) { return 0; }
Result cuInit(unsigned flags) { return 0; }
Result cuDriverGetVersion(int *version) { *version = 13000; return 0; }
Result cuDeviceGetCount(int *count) { *count = 1; return 0; }
Result cuDeviceGet(int *device, int number) { *device = number; return 0; }
Result cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Imitated GPU", size); return 0; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1024; /* compute capability, and limits */
    return 0;
}
Result cuDevicePrimaryCtxRetain(void **made, int device) { *made = (void *)0x10; return 0; }
Result cuCtxSetCurrent(void *given) { context = given; return 0; }
Result cuCtxPushCurrent(void *given) { context = given; return 0; }
Result cuCtxPopCurrent(void **found) { *found = context; return 0; }
Result cuCtxGetCurrent(void **found) { *found = context; return 0; }
Result cuCtxGetDevice(int *device) { *device = 0; return 0; }
Result cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { *stream = handle(); return 0; }
Result cuStreamGetCtx(void *stream, void **found) { *found = (void *)0x10; return 0; }
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = 0, *greatest = -5; return 0; }
Result cuMemGetInfo(size_t *free_bytes, size_t *total) { *free_bytes = 1ull << 33, *total = 1ull << 34; return 0; }
Result cuMemAlloc(uint64_t *address, size_t size) {
    if (size > 1ull << 33) return 2; /* out of memory */
    size = (size + 255) / 256 * 256;
    *address = (uint64_t)aligned_alloc(256, size);
    memset((void *)*address, 0, size);
    return 0;
}
Result cuMemFree(uint64_t address) { free((void *)address); return 0; }
Result cuMemcpyHtoD(uint64_t to, const void *from, size_t size) { memcpy((void *)to, from, size); return 0; }
Result cuMemcpyDtoH(void *to, uint64_t from, size_t size) { memcpy(to, (void *)from, size); return 0; }
Result cuMemsetD8(uint64_t to, unsigned char value, size_t size) { memset((void *)to, value, size); return 0; }
Result cuGetErrorName(int error, const char **text) { *text = error ? "CUDA_ERROR" : SUCCESS; return 0; }
Result cuGetErrorString(int error, const char **text) { *text = "imitated"; return 0; }

Result cuLibraryLoadData(void **library, const void *code, void *a, void *b, unsigned n, void *c, void *d, unsigned m) {
    if (memcmp(code, "\177ELF", 4)) return 200; /* no machine code */
    *library = handle();
    return 0;
}
Result cuLibraryGetKernel(void **kernel, void *library, const char *name) {
    *kernel = handle();
    names[(next_handle - 0x1000) / 16] = strdup(name);
    return 0;
}
Result cuGraphCreate(void **graph, unsigned flags) { *graph = handle(); return 0; }
Result cuGraphInstantiateWithParams(void **made, void *graph, void *parameters) { *made = graph; return 0; }

/* The types of a kernel's parameters are the end of its name, as Numba makes it. */
Result cuGraphAddKernelNode(void **node, void *graph, void **before, size_t n_before, Launch *launch) {
    void *kernel = launch->kernel ? launch->kernel : launch->function;
    const char *name = names[((uintptr_t)kernel - 0x1000) / 16], *types = strrchr(name, 'E') + 1;
    FILE *file = log_file();
    *node = handle();
    fprintf(file, "node of %p after %p: %u %u %u, %u:", graph, n_before ? before[0] : 0, launch->grid[0],
            launch->grid[1], launch->grid[2], launch->block[0]);
    for (int number = 0; types[number]; number++) {
        void *argument = launch->arguments[number];
        switch (types[number]) {
            case 'x': fprintf(file, " %lld", *(long long *)argument); break;
            case 'i': fprintf(file, " %d", *(int *)argument); break;
            case 'f': fprintf(file, " %.9g", *(float *)argument); break;
            case 'd': fprintf(file, " %.17g", *(double *)argument); break;
            default: fprintf(file, " ?");
        }
    }
    fprintf(file, "; is %p, %s\n", *node, name);
    fflush(file);
    return 0;
}
Result cuGraphLaunch(void *graph, void *stream) {
    fprintf(log_file(), "launch of %p\n", graph);
    fflush(log_file());
    return 0;
}

#define FUNCTION(name) if (!strcmp(wanted, #name)) { *found = (void *)name; return 0; }
Result cuGetProcAddress_v2(const char *wanted, void **found, int version, uint64_t flags, int *status) {
    if (status) *status = 0;
    FUNCTION(cuInit) FUNCTION(cuDriverGetVersion) FUNCTION(cuDeviceGetCount) FUNCTION(cuDeviceGet)
    FUNCTION(cuDeviceGetName) FUNCTION(cuDeviceGetAttribute) FUNCTION(cuDevicePrimaryCtxRetain)
    FUNCTION(cuCtxSetCurrent) FUNCTION(cuCtxPushCurrent) FUNCTION(cuCtxPopCurrent) FUNCTION(cuCtxGetCurrent)
    FUNCTION(cuCtxGetDevice) FUNCTION(cuStreamCreateWithPriority) FUNCTION(cuStreamGetCtx)
    FUNCTION(cuCtxGetStreamPriorityRange) FUNCTION(cuMemGetInfo) FUNCTION(cuMemAlloc) FUNCTION(cuMemFree)
    FUNCTION(cuMemcpyHtoD) FUNCTION(cuMemcpyDtoH) FUNCTION(cuMemsetD8) FUNCTION(cuGetErrorName)
    FUNCTION(cuGetErrorString) FUNCTION(cuLibraryLoadData) FUNCTION(cuLibraryGetKernel) FUNCTION(cuGraphCreate)
    FUNCTION(cuGraphInstantiateWithParams) FUNCTION(cuGraphAddKernelNode) FUNCTION(cuGraphLaunch)
    *found = strcmp(wanted, "cuGetProcAddress") ? (void *)nothing : (void *)cuGetProcAddress_v2;
    return 0;
}
Result cuGetProcAddress(const char *wanted, void **found, int version, uint64_t flags) {
    return cuGetProcAddress_v2(wanted, found, version, flags, 0);
}
