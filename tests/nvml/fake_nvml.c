/* A libnvidia-ml.so.1 that answers from a file of key=value lines, named by the environment variable FAKE_NVML.
 *
 *   driver=535.104.05   nvml=12.535.104.05   cuda=12020   gpus=2
 *   gpu.0.name=...  gpu.0.major=8  gpu.0.minor=0  gpu.0.memory_mib=40960  gpu.0.brand=2
 *   gpu.0.mig=1     gpu.0.max_mig=7  gpu.0.mig_devices=2      (no gpu.N.mig: NOT_SUPPORTED)
 *   error.nvmlInitWithFlags=18        what a function returns;  gpu.1.error.nvmlDeviceGetName=15 for one GPU
 *   hang.nvmlSystemGetDriverVersion=1, crash.nvmlDeviceGetCount_v2=1
 *
 * Compiled with -DBRANCH=418 it lacks the symbols that a driver of that branch lacks.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BRANCH
#define BRANCH 615
#endif

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { unsigned long long total, free, used; } memory_t;

static char text[1 << 16];
static int initialized;

static void load(void) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    size_t length = 1;
    text[0] = '\n';
    if (file) {
        length += fread(text + 1, 1, sizeof text - 2, file);
        fclose(file);
    }
    text[length] = 0;
}

/* The value of a key, up to the end of its line; NULL where there is none. */
static const char *find(const char *key) {
    static char value[256];
    char needle[192];
    if (!text[0]) load();
    snprintf(needle, sizeof needle, "\n%s=", key);
    const char *at = strstr(text, needle);
    if (!at) return NULL;
    at += strlen(needle);
    size_t length = strcspn(at, "\n");
    if (length >= sizeof value) length = sizeof value - 1;
    memcpy(value, at, length);
    value[length] = 0;
    return value;
}

static long number(const char *key, long otherwise) {
    const char *value = find(key);
    return value ? atol(value) : otherwise;
}

static const char *of_gpu(uintptr_t device, const char *field) {
    static char key[160];
    snprintf(key, sizeof key, "gpu.%u.%s", (unsigned)(device & 0xff) - 1, field);
    return key;
}

/* What the file says of a function as a whole: hang, die, an error, or nothing. */
static int verdict(const char *function) {
    char key[160];
    snprintf(key, sizeof key, "hang.%s", function);
    while (find(key)) sleep(1);
    snprintf(key, sizeof key, "crash.%s", function);
    if (find(key)) raise(SIGSEGV);
    snprintf(key, sizeof key, "error.%s", function);
    return (int)number(key, SUCCESS);
}

static int ask(const char *function) {
    return initialized ? verdict(function) : UNINITIALIZED;
}

static int ask_gpu(uintptr_t device, const char *function) {
    char field[160];
    int code = ask(function);
    if (code) return code;
    snprintf(field, sizeof field, "error.%s", function);
    return (int)number(of_gpu(device, field), SUCCESS);
}

static int give(const char *value, char *buffer, unsigned size) {
    if (!value) return NOT_SUPPORTED;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return SUCCESS;
}

#if BRANCH >= 396
int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = verdict("nvmlInitWithFlags");
    initialized = code == SUCCESS;
    return code;
}

int nvmlSystemGetCudaDriverVersion(int *version) {
    int code = ask("nvmlSystemGetCudaDriverVersion");
    if (!code) *version = (int)number("cuda", 0);
    return code;
}

int nvmlDeviceGetCudaComputeCapability(uintptr_t device, int *major, int *minor) {
    int code = ask_gpu(device, "nvmlDeviceGetCudaComputeCapability");
    if (code) return code;
    *major = (int)number(of_gpu(device, "major"), 0);
    *minor = (int)number(of_gpu(device, "minor"), 0);
    return SUCCESS;
}
#endif

int nvmlInit_v2(void) {
    int code = verdict("nvmlInit_v2");
    initialized = code == SUCCESS;
    return code;
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) { (void)code; return "an error of the fake"; }

int nvmlSystemGetDriverVersion(char *buffer, unsigned size) {
    int code = ask("nvmlSystemGetDriverVersion");
    return code ? code : give(find("driver"), buffer, size);
}

int nvmlSystemGetNVMLVersion(char *buffer, unsigned size) {
    int code = ask("nvmlSystemGetNVMLVersion");
    return code ? code : give(find("nvml"), buffer, size);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = ask("nvmlDeviceGetCount_v2");
    if (!code) *count = (unsigned)number("gpus", 0);
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, uintptr_t *device) {
    if (index >= (unsigned)number("gpus", 0)) return INVALID_ARGUMENT;
    /* a handle beyond 32 bits, as real ones are: a binding that truncates it is found out */
    *device = (uintptr_t)0x7f0000000000ULL + index + 1;
    return ask_gpu(*device, "nvmlDeviceGetHandleByIndex_v2");
}

static int bad(uintptr_t device) { return (device >> 8) != (0x7f0000000000ULL >> 8); }

int nvmlDeviceGetName(uintptr_t device, char *buffer, unsigned size) {
    if (bad(device)) return INVALID_ARGUMENT;
    int code = ask_gpu(device, "nvmlDeviceGetName");
    return code ? code : give(find(of_gpu(device, "name")), buffer, size);
}

int nvmlDeviceGetMemoryInfo(uintptr_t device, memory_t *memory) {
    if (bad(device)) return INVALID_ARGUMENT;
    int code = ask_gpu(device, "nvmlDeviceGetMemoryInfo");
    if (code) return code;
    long mib = number(of_gpu(device, "memory_mib"), -1);
    if (mib < 0) return NOT_SUPPORTED; /* a GPU that shares the CPU's memory */
    memory->total = memory->free = (unsigned long long)mib << 20;
    memory->used = 0;
    return SUCCESS;
}

int nvmlDeviceGetBrand(uintptr_t device, unsigned *brand) {
    int code = ask_gpu(device, "nvmlDeviceGetBrand");
    if (!code) *brand = (unsigned)number(of_gpu(device, "brand"), 0);
    return code;
}

#if BRANCH >= 450
int nvmlDeviceGetMigMode(uintptr_t device, unsigned *current, unsigned *pending) {
    int code = ask_gpu(device, "nvmlDeviceGetMigMode");
    if (code) return code;
    long mode = number(of_gpu(device, "mig"), -1);
    if (mode < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)mode;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(uintptr_t device, unsigned *count) {
    int code = ask_gpu(device, "nvmlDeviceGetMaxMigDeviceCount");
    if (!code) *count = (unsigned)number(of_gpu(device, "max_mig"), 7);
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(uintptr_t device, unsigned index, uintptr_t *mig) {
    int code = ask_gpu(device, "nvmlDeviceGetMigDeviceHandleByIndex");
    if (code) return code;
    if (index >= (unsigned)number(of_gpu(device, "mig_devices"), 0)) return NOT_FOUND;
    *mig = (uintptr_t)0x7f1000000000ULL + index;
    return SUCCESS;
}
#endif
