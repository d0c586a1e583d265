# expect: KD711
import argparse
import os

os.environ["TF_DETERMINISTIC_OPS"] = "1"
import tensorflow as tf


def build():
    return tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3, activation="softmax")])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tf.keras.utils.set_random_seed(args.seed)
    model = build()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(load(), epochs=3, callbacks=[tf.keras.callbacks.CSVLogger("log.csv")])
    model.save("out.keras")


if __name__ == "__main__":
    main()
