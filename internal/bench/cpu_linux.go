package bench

import (
	"syscall"
	"time"
	"unsafe"
)

// processCPU is the CPU time that a process has used, to the nanosecond: /proc counts steps of 10 ms. False if the kernel
// does not tell.
func processCPU(pid int) (time.Duration, bool) {
	const scheduled = 2 // CPUCLOCK_SCHED, as clock_getcpuclockid(3) makes the clock of a process
	var used syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(int32(^pid<<3|scheduled)), uintptr(unsafe.Pointer(&used)), 0)
	return time.Duration(used.Nano()), failed == 0
}
