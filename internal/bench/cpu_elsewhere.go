//go:build !linux

package bench

import "time"

// processCPU is known on Linux only.
func processCPU(int) (time.Duration, bool) { return 0, false }
