/* A CUDA driver without a GPU: the driver API's calls that PyCUDA and engines/runners make, over the host's memory.

   What it keeps to, because the code under test must: a context stack for each thread; no allocation, stream or copy
   without a current context (201); memory of a limited device (2 when it is used up); a device address that is not the
   host's own, so that code which mixes the two up breaks; no device at all when told so (100).
   What it cannot show: kernels, real asynchrony, real times, coherence of mapped memory.
   Calls that are missing here are made by the builder from PyCUDA's list of symbols and answer 801 (not supported). */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400 };
typedef int Result;
typedef uint64_t Address;

#define BLOCKS 4096
static struct block { char *at; size_t bytes; int host; } blocks[BLOCKS];
static size_t used_bytes;
static int primary_retained;
static __thread void *stack[64];
static __thread int depth;

static int setting(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}
static size_t total_bytes(void) { return (size_t)setting("LFR_FAKE_CUDA_MB", 4096) << 20; }

static Result take(size_t bytes, int host, char **out) {
  if (!depth) return INVALID_CONTEXT;
  if (!host && used_bytes + bytes > total_bytes()) return OUT_OF_MEMORY;
  for (int i = 0; i < BLOCKS; i++)
    if (!blocks[i].at) {
      blocks[i].at = aligned_alloc(512, (bytes + 511) / 512 * 512 + (bytes ? 0 : 512)); /* as the driver aligns */
      memset(blocks[i].at, 0xA5, bytes);
      blocks[i].bytes = bytes;
      blocks[i].host = host;
      used_bytes += host ? 0 : bytes;
      *out = blocks[i].at;
      return OK;
    }
  return OUT_OF_MEMORY;
}
static Result give_back(char *at) {
  for (int i = 0; i < BLOCKS; i++)
    if (at && blocks[i].at == at) {
      used_bytes -= blocks[i].host ? 0 : blocks[i].bytes;
      free(at);
      blocks[i].at = NULL;
      return OK;
    }
  return INVALID_HANDLE;
}
static int inside(Address at, size_t bytes) {
  for (int i = 0; i < BLOCKS; i++)
    if (blocks[i].at && at >= (Address)blocks[i].at && at + bytes <= (Address)blocks[i].at + blocks[i].bytes) return 1;
  return 0;
}
static Result copy(void *to, const void *from, size_t bytes, Address device) {
  if (!depth) return INVALID_CONTEXT;
  if (!inside(device, bytes)) return INVALID_HANDLE;
  memcpy(to, from, bytes);
  return OK;
}

/* What a test asks of the fake itself. */
size_t fake_used_bytes(void) { return used_bytes; }
int fake_primary_retained(void) { return primary_retained; }
int fake_depth(void) { return depth; }
int fake_holds(Address at, size_t bytes) { return inside(at, bytes); }
static void (*on_graph_launch)(void *graph);
void fake_on_graph_launch(void (*call)(void *)) { on_graph_launch = call; }
static void *capturing;
void *fake_capturing(void) { return capturing; }

Result cuInit(unsigned flags) { return setting("LFR_FAKE_CUDA_DEVICES", 1) < 0 ? NO_DEVICE : OK; }
Result cuDriverGetVersion(int *v) { *v = 12060; return OK; }
Result cuDeviceGetCount(int *n) { *n = setting("LFR_FAKE_CUDA_DEVICES", 1); return OK; }
Result cuDeviceGet(int *d, int ordinal) { *d = ordinal; return ordinal < setting("LFR_FAKE_CUDA_DEVICES", 1) ? OK : INVALID_DEVICE; }
Result cuDeviceGetName(char *name, int length, int d) { snprintf(name, length, "%s", getenv("LFR_FAKE_CUDA_NAME") ? getenv("LFR_FAKE_CUDA_NAME") : "Fake Orin"); return OK; }
Result cuDeviceTotalMem_v2(size_t *bytes, int d) { *bytes = total_bytes(); return OK; }
Result cuDeviceComputeCapability(int *major, int *minor, int d) { *major = 8; *minor = 7; return OK; }
Result cuDeviceGetAttribute(int *value, int attribute, int d) { *value = attribute == 75 ? 8 : attribute == 76 ? 7 : 1; return OK; }
Result cuDevicePrimaryCtxRetain(void **c, int d) { primary_retained++; *c = &primary_retained; return OK; }
Result cuDevicePrimaryCtxRelease_v2(int d) { primary_retained--; return OK; }
Result cuDevicePrimaryCtxRelease(int d) { return cuDevicePrimaryCtxRelease_v2(d); }
Result cuDevicePrimaryCtxGetState(int d, unsigned *flags, int *active) { *flags = 0; *active = primary_retained > 0; return OK; }
Result cuCtxPushCurrent_v2(void *c) { stack[depth++] = c; return OK; }
Result cuCtxPopCurrent_v2(void **c) { if (!depth) return INVALID_CONTEXT; *c = stack[--depth]; return OK; }
Result cuCtxGetCurrent(void **c) { *c = depth ? stack[depth - 1] : NULL; return OK; }
Result cuCtxGetDevice(int *d) { *d = 0; return depth ? OK : INVALID_CONTEXT; }
Result cuCtxSynchronize(void) { return depth ? OK : INVALID_CONTEXT; }
Result cuCtxGetApiVersion(void *c, unsigned *v) { *v = 3020; return OK; }
Result cuMemGetInfo_v2(size_t *free_, size_t *total) { *total = total_bytes(); *free_ = *total - used_bytes; return depth ? OK : INVALID_CONTEXT; }

Result cuMemAlloc_v2(Address *p, size_t bytes) { char *at; Result r = take(bytes, 0, &at); *p = (Address)at; return r; }
Result cuMemFree_v2(Address p) { return depth ? give_back((char *)p) : INVALID_CONTEXT; }
Result cuMemHostAlloc(void **p, size_t bytes, unsigned flags) { return take(bytes, 1, (char **)p); }
Result cuMemAllocHost_v2(void **p, size_t bytes) { return take(bytes, 1, (char **)p); }
Result cuMemFreeHost(void *p) { return depth ? give_back(p) : INVALID_CONTEXT; }
Result cuMemHostGetDevicePointer_v2(Address *d, void *host, unsigned flags) { *d = (Address)host; return depth ? OK : INVALID_CONTEXT; }
Result cuMemcpyHtoDAsync_v2(Address d, const void *s, size_t n, void *stream) { return copy((void *)d, s, n, d); }
Result cuMemcpyDtoHAsync_v2(void *d, Address s, size_t n, void *stream) { return copy(d, (void *)s, n, s); }
Result cuMemcpyHtoD_v2(Address d, const void *s, size_t n) { return copy((void *)d, s, n, d); }
Result cuMemcpyDtoH_v2(void *d, Address s, size_t n) { return copy(d, (void *)s, n, s); }
Result cuMemsetD8_v2(Address d, unsigned char value, size_t n) {
  if (!depth) return INVALID_CONTEXT;
  if (!inside(d, n)) return INVALID_HANDLE;
  memset((void *)d, value, n);
  return OK;
}

Result cuStreamCreate(void **s, unsigned flags) { if (!depth) return INVALID_CONTEXT; *s = calloc(1, 8); return OK; }
Result cuStreamDestroy_v2(void *s) { if (!depth) return INVALID_CONTEXT; free(s); return OK; }
Result cuStreamSynchronize(void *s) { return depth ? OK : INVALID_CONTEXT; }
Result cuStreamQuery(void *s) { return depth ? OK : INVALID_CONTEXT; }

Result cuStreamBeginCapture_v2(void *s, int mode) { if (!depth || capturing) return INVALID_CONTEXT; capturing = calloc(1, 8); return OK; }
Result cuStreamEndCapture(void *s, void **graph) { if (!capturing) return INVALID_HANDLE; *graph = capturing; capturing = NULL; return OK; }
Result cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) { *executable = graph; return graph ? OK : INVALID_HANDLE; }
Result cuGraphLaunch(void *executable, void *s) { if (!depth || !on_graph_launch) return INVALID_CONTEXT; on_graph_launch(executable); return OK; }
Result cuGraphExecDestroy(void *executable) { return OK; }
Result cuGraphDestroy(void *graph) { free(graph); return OK; }

Result cuGetErrorString(Result r, const char **text) { *text = r == OUT_OF_MEMORY ? "out of memory" : r == INVALID_CONTEXT ? "invalid device context" : r == NO_DEVICE ? "no CUDA-capable device is detected" : "refused by the fake driver"; return OK; }
Result cuGetErrorName(Result r, const char **text) { *text = "CUDA_ERROR"; return OK; }
