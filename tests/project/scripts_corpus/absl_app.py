# expect: KD701 KD702 KD711 KD716
import tensorflow as tf
from absl import app


def main(argv):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(load_data(), epochs=3)


if __name__ == "__main__":
    app.run(main)
