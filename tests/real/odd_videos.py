"""Which of the odd videos are refused, and why."""

# One event from 0 to the end of the packets: which files of those that odd.csv calls "clear error"
# or leaves open are refused, and why. The last midpoint of rot_truncated.mp4 lies before its
# damage.
REFUSED = {
    "corrupt_midway.mp4": "damaged",
    "audio_only.mp3": "no-video-stream",
    "cover_picture_only.m4a": "cover-only",
    "bad_bitstream.webm": "damaged",
    "two_first_slices.mp4": "damaged",
    "not_decodable.mp4": "damaged",
    "encrypted.mp4": "encrypted",
    "no_video_streams.mkv": "no-video-stream",
    "header_32_bytes.mp4": "unreadable",
    "empty.mp4": "empty",
    "bit_damage.mp4": "damaged",
    "text.mp4": "unreadable",
    "random.bin.mp4": "unreadable",
    "folder.mp4": "not-a-file",
}
