"""What other makers' .tflite files hold: read, checked, without a schema package."""
