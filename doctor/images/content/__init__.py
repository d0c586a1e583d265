"""What an image's layers hold: bytes read by place, compressed ones too, and the tar members in them."""
