package operate

import (
	"os"
	"strconv"
	"syscall"
)

// closeListener ends this process's listener on a port of 127.0.0.1, of which nobody has the handle.
func closeListener(port int) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, name := range names {
		handle, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		address, err := syscall.Getsockname(handle)
		if err != nil {
			continue
		}
		inet, is := address.(*syscall.SockaddrInet4)
		if !is || inet.Port != port {
			continue
		}
		// Connections to the port have it as well.
		listens, err := syscall.GetsockoptInt(handle, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		if err == nil && listens == 1 {
			_ = syscall.Shutdown(handle, syscall.SHUT_RDWR)
			return
		}
	}
}
