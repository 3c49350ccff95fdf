package wire

import "encoding/binary"

// Notification is a NotificationResponse.
type Notification struct {
	PID              uint32
	Channel, Payload string
}

// DecodeNotification reads a NotificationResponse.
func DecodeNotification(src []byte) (Notification, error) {
	b := body{src: src}
	n := Notification{PID: b.uint32(), Channel: string(b.string()), Payload: string(b.string())}
	return n, b.end()
}

// AppendNotification appends a NotificationResponse.
func AppendNotification(dst []byte, n Notification) []byte {
	dst, at := begin(dst, NotificationResponse)
	dst = binary.BigEndian.AppendUint32(dst, n.PID)
	return end(appendString(appendString(dst, n.Channel), n.Payload), at)
}
