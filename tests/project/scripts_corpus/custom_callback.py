# expect: KD701 KD702 KD711
import keras


class Logger(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.file.write(f"{epoch} {logs}")


model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=3, callbacks=[Logger()])
